/**
 * Each kit in a device program with a real MQTT client, on a lossy line, while the device, the
 * gateway and the broker are killed, and with a clock that starts in 1970 or an hour ahead.
 */

import { setTimeout as pause } from "node:timers/promises";
import { CommandRows } from "../../src/store/sqlite/command_rows.ts";
import { poll } from "../../src/time/poll.ts";
import { Dice } from "./dice.ts";
import { type FaultSite, withFaultSite } from "./fault_site.ts";
import { checkKit } from "./kit_checker.ts";
import { KIT_PROGRAMS, KitDevice, type KitProgram } from "./kit_device.ts";
import { LossyLine } from "./lossy_line.ts";
import type { Findings, Scenario, ScenarioOptions } from "./scenario.ts";

const SETTINGS = { COMMANDS_RESEND: "5s", RECEIPTS_SEND: "all", CHECKS_REMEMBER: "1h" };

/** Longest time between two deaths, and for which a broker is away. */
const LIFE_MAX_MS = 2_000;
const AWAY_MAX_MS = 500;

/** How long after an answer of the API that is no command the next try comes. */
const ASK_AGAIN_MS = 200;

/** With it a command outlives every fault. */
const TTL = "3600";

const VICTIMS = ["device", "gateway", "broker"] as const;

interface Amounts {
  readonly readings: number;
  readonly everyMs: number;
  readonly commands: number;
  /** Of each victim. */
  readonly kills: number;
  readonly settleTimeoutMs: number;
}

const LONG: Amounts = {
  ...{ readings: 1_000, everyMs: 100, commands: 100, kills: 30, settleTimeoutMs: 300_000 },
};
const SHORT: Amounts = {
  ...{ readings: 60, everyMs: 100, commands: 6, kills: 2, settleTimeoutMs: 60_000 },
};

/** One for each kit whose programs are on this machine. */
export const KITS: readonly Scenario[] = KIT_PROGRAMS
  .filter(({ isHere }) => isHere)
  .map((program) => ({
    name: `kits: ${program.name}, and everything dies`,
    run: (options) =>
      withFaultSite((site) => run(site, program, options), {
        fleet: { seed: options.seed, devices: 0 },
        settings: SETTINGS,
      }),
  }));

/** What a run has to do with. */
interface Cast {
  readonly site: FaultSite;
  readonly deviceId: string;
  readonly device: KitDevice;
  readonly line: LossyLine;
  readonly dice: Dice;
  readonly amounts: Amounts;
}

async function run(
  site: FaultSite,
  { name, make }: KitProgram,
  { long, seed, say }: ScenarioOptions,
): Promise<Findings> {
  const amounts = long ? LONG : SHORT;
  const deviceId = `kit_${name.toLowerCase()}`;
  const folder = await site.live.register(deviceId);
  const line = LossyLine.open(site.live.config.devices.port, new Dice(seed + 1));
  const orders = { folder, port: line.port, ...amounts };
  const device = new KitDevice(await make(folder), orders, new Dice(seed + 2));
  const cast: Cast = { site, deviceId, device, line, dice: new Dice(seed), amounts };
  try {
    await site.startGateway();
    device.start();
    const asking = askAll(cast);
    await Promise.all([asking, killAll(cast, say)]);
    await settle(cast);
    await device.kill();
    return judge(cast, line);
  } finally {
    await device.kill();
    await line.close();
  }
}

/** Asks for one command after the other, each again until it is taken. */
async function askAll(cast: Cast): Promise<void> {
  const { amounts, site } = cast;
  for (let n = 0; n < amounts.commands; n++) {
    await poll(`command ${n} to be taken`, () => ask(cast, n), {
      timeoutMs: amounts.settleTimeoutMs,
    });
    // Before its first word, a device is sent a command once: it must come to it.
    if (n === 0) {
      await poll("the first command", () => openCommands(site) === 0, {
        timeoutMs: amounts.settleTimeoutMs,
      });
    }
    await pause(amounts.readings * amounts.everyMs / amounts.commands);
  }
}

async function ask({ site, deviceId }: Cast, n: number): Promise<boolean> {
  try {
    const response = await site.live.api(`/command/${deviceId}`, {
      method: "POST",
      body: `{"n":${n}}`,
      headers: { ttl: TTL, "idempotency-key": `kit-${n}` },
    });
    if (response.status === 202) return true;
  } catch {
    // the gateway is dead
  }
  await pause(ASK_AGAIN_MS);
  return false;
}

/** Each victim so many times, in the order and at the moments that chance brings. */
async function killAll(
  { site, device, line, dice, amounts }: Cast,
  say: ScenarioOptions["say"],
): Promise<void> {
  await poll("the device's first word", () => openCommands(site, "done") === 1, {
    timeoutMs: amounts.settleTimeoutMs,
  });
  line.isLossy = true;
  const queue = VICTIMS.flatMap((victim) => Array<typeof victim>(amounts.kills).fill(victim));
  for (let deaths = 1; queue.length > 0; deaths++) {
    await pause(dice.below(LIFE_MAX_MS));
    const [victim] = queue.splice(dice.below(queue.length), 1);
    if (device.fault) site.violations.push(`The device died by itself: ${device.fault}`);
    if (victim === "device") {
      await device.kill();
      device.start();
    } else if (victim === "gateway") {
      await site.killGateway();
      await site.startGateway();
    } else {
      site.live.broker!.kill("SIGKILL");
      await site.live.broker!.exited;
      await pause(dice.below(AWAY_MAX_MS));
      await site.live.startBroker();
    }
    if (deaths % 15 === 0) say?.(`${deaths} deaths`);
  }
}

/** Waits until the device has nothing to send, the gateway neither, and every command its end. */
async function settle({ site, device, amounts }: Cast): Promise<void> {
  try {
    await poll("everything to come to its end", async () => {
      await pause(100);
      if (device.fault) throw new Error(`The device died by itself: ${device.fault}`);
      const made = device.made();
      return made.length === amounts.readings && made.every(({ ended }) => ended) &&
        site.pending() === 0 && openCommands(site) === 0;
    }, { timeoutMs: amounts.settleTimeoutMs });
  } catch (error) {
    site.violations.push((error as Error).message);
  }
}

function judge({ site, device, amounts }: Cast, line: LossyLine): Findings {
  const commands = commandsOf(site);
  const figures = checkKit({
    ...{ commands, made: device.made(), executions: device.executions() },
    received: site.live.backend.received,
  });
  const violations = [...site.violations, ...figures.violations];
  if (figures.sent < amounts.readings) violations.push(`Only ${figures.sent} readings were made`);
  if (commands.length !== amounts.commands) violations.push(`${commands.length} commands are kept`);
  if (line.cuts === 0) violations.push("The line was never cut");
  const done = commands.filter(({ state }) => state === "done").length;
  const expired = commands.filter(({ state }) => state === "expired").length;
  return {
    ...{ ...figures, violations },
    note: `${amounts.kills} deaths each of device, gateway and broker; ${line.cuts} connections ` +
      `cut, ${line.delays} delays; ${commands.length} commands, ${done} done, ${expired} expired`,
  };
}

/** Commands in a state; without one, those that are asked for and have no end yet. */
function openCommands(site: FaultSite, wanted?: string): number {
  return commandsOf(site).filter(({ state }) =>
    wanted ? state === wanted : state !== "done" && state !== "expired"
  ).length;
}

function commandsOf(site: FaultSite) {
  return site.live.withStore((store) => [...new CommandRows(store).all({})]);
}
