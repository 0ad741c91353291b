/**
 * Commands are asked for, executed and acknowledged, while the gateway dies at every point of their
 * way, the broker dies and restarts, and devices come and go.
 */

import { setTimeout as pause } from "node:timers/promises";
import { COMMAND_FAILPOINTS } from "../../src/core/failpoint.ts";
import { type CommandState, isFinal } from "../../src/core/command_life.ts";
import { secondsOf } from "../../src/core/time.ts";
import { CommandRows } from "../../src/store/sqlite/command_rows.ts";
import { poll } from "../../src/time/poll.ts";
import { CommandAsker } from "./command_asker.ts";
import { checkCommands, type CommandFigures } from "./command_checker.ts";
import { CommandDevice, type CommandDeviceHabits } from "./command_device.ts";
import { Dice } from "./dice.ts";
import { CALLBACK_PATH, type FaultSite, isCallback, withFaultSite } from "./fault_site.ts";
import type { Failpoint } from "./gateway_life.ts";
import type { Findings, Scenario, ScenarioOptions } from "./scenario.ts";

/** With it a command outlives every fault. */
const LONG_SECONDS = 3_600;
const TTLS = [undefined, 5, 8, LONG_SECONDS, LONG_SECONDS, LONG_SECONDS];

const DEVICES: readonly CommandDeviceHabits[] = [
  { deviceId: "ack_session_0", acknowledges: true, hasSession: true },
  { deviceId: "ack_session_1", acknowledges: true, hasSession: true },
  { deviceId: "ack_clean_0", acknowledges: true, hasSession: false },
  { deviceId: "ack_clean_1", acknowledges: true, hasSession: false },
  { deviceId: "plain_session", acknowledges: false, hasSession: true },
  { deviceId: "plain_clean", acknowledges: false, hasSession: false },
];

const SETTINGS = {
  COMMANDS_RESEND: "5s",
  COMMANDS_CALLBACK: CALLBACK_PATH,
  COMMANDS_MAX_WAITING_PER_DEVICE: "30",
};

/** Longest life that chance gives a gateway. */
const LIFE_MAX_MS = 2_000;

/** Highest passing of a point at which a gateway ends. */
const PASSING_MAX = 6;

/** How long a life may take to come to its point. */
const POINT_TIMEOUT_MS = 60_000;

/** Longest time for which the broker is away. */
const BROKER_AWAY_MAX_MS = 1_000;

const SETTLE_TIMEOUT_MS = 180_000;

/** All that commands go through, on one site. */
export const COMMANDS: Scenario = {
  name: "commands, and everything dies",
  run: (options) =>
    withFaultSite((site) => run(site, options), {
      fleet: { seed: options.seed, devices: 2, everyMs: 60 },
      settings: SETTINGS,
    }),
};

async function run(site: FaultSite, options: ScenarioOptions): Promise<Findings> {
  const dice = new Dice(options.seed);
  await site.start();
  const devices = DEVICES.map((habits, i) => new CommandDevice(habits, new Dice(options.seed + i)));
  for (const device of devices) await device.start(site.live);
  const deviceIds = DEVICES.map(({ deviceId }) => deviceId);
  const asker = new CommandAsker(site.live, {
    deviceIds,
    dice: new Dice(options.seed),
    ttls: TTLS,
  });
  try {
    const deaths = await dieAgainAndAgain(site, dice, options);
    return await judge(site, { asker, devices, deaths });
  } finally {
    await asker.close();
    await Promise.all(devices.map((device) => device.close()));
  }
}

/** Every point at least once, and then whatever chance brings. */
async function dieAgainAndAgain(
  site: FaultSite,
  dice: Dice,
  { long, say }: ScenarioOptions,
): Promise<number> {
  const rounds = long ? 150 : COMMAND_FAILPOINTS.length + 3;
  let deaths = 0;
  for (let round = 0; round < rounds; round++) {
    const isByPoint = round < COMMAND_FAILPOINTS.length || dice.below(2) === 0;
    const point = COMMAND_FAILPOINTS[round] ?? dice.pick(COMMAND_FAILPOINTS);
    if (round % 6 === 5) await brokerFails(site, dice);
    await pause(dice.below(LIFE_MAX_MS));
    await site.killGateway();
    deaths++;
    if (isByPoint) {
      await dieAt(site, { point, passing: 1 + dice.below(PASSING_MAX) });
      deaths++;
    }
    site.beginGateway();
    if (round % 20 === 19) say?.(`${round + 1} of ${rounds} rounds`);
  }
  await site.gateway.ready();
  return deaths;
}

/** Half of the time with all that it has not written yet. */
async function brokerFails(site: FaultSite, dice: Dice): Promise<void> {
  if (dice.below(2) === 0) await site.live.stopBroker();
  else await site.killBroker();
  await pause(dice.below(BROKER_AWAY_MAX_MS));
  await site.live.startBroker();
}

/** One life that ends itself. */
async function dieAt(site: FaultSite, failpoint: Failpoint): Promise<void> {
  const life = site.beginGateway({ failpoint });
  const { point, passing } = failpoint;
  await poll(`passing ${passing} of "${point}"`, () => !life.running, {
    timeoutMs: POINT_TIMEOUT_MS,
  });
  const { signal } = await life.exited;
  if (signal !== "SIGKILL") site.violations.push(`Ended by ${signal}, not at "${point}"`);
  site.gatewayDied();
}

/** The commands, and who has to do with them. */
interface Cast {
  readonly asker: CommandAsker;
  readonly devices: readonly CommandDevice[];
  readonly deaths: number;
}

async function judge(site: FaultSite, { asker, devices, deaths }: Cast): Promise<Findings> {
  for (const device of devices) device.stay();
  await asker.quiet();
  await settle(site);
  await asker.close();
  await Promise.all(devices.map((device) => device.close()));
  const others = devices.flatMap(({ sent }) => sent);
  const figures = await site.judge({ answersMayBeLost: true, others });
  const commands = checkCommands({
    wishes: asker.wishes,
    copies: devices.flatMap(({ copies }) => copies),
    executed: devices.flatMap(({ executed }) => executed),
    words: devices.flatMap(({ words }) => words),
    reports: asker.reports,
    callbacks: site.live.backend.received.filter(isCallback).map(({ text }) => {
      const { message_id: messageId, state } = JSON.parse(text);
      return { messageId, state };
    }),
    toTell: callbacksOf(site),
    kept: commandsOf(site),
    acknowledgers: new Set(DEVICES.flatMap((one) => one.acknowledges ? one.deviceId : [])),
    longSeconds: LONG_SECONDS,
  });
  return {
    ...figures,
    lost: figures.lost + commands.lost,
    violations: [...figures.violations, ...commands.violations],
    note: `${deaths} deaths; ${noteOf(commands)}`,
  };
}

/** Waits until nothing is to be sent any longer. */
async function settle(site: FaultSite): Promise<void> {
  const isOpen = (command: ReturnType<typeof commandsOf>[number]) => {
    if (isFinal(command) || !command.isKept || command.withdrawn) return false;
    const canBeSent = command.expiresSeconds > secondsOf(Date.now());
    const isAwaited = command.state === "waiting" ||
      command.state === "sent" && command.deviceId.startsWith("ack_");
    return canBeSent && isAwaited;
  };
  try {
    await poll("commands to reach their devices", async () => {
      await pause(200);
      return commandsOf(site).every((command) => !isOpen(command));
    }, { timeoutMs: SETTLE_TIMEOUT_MS });
  } catch (error) {
    const open = commandsOf(site).filter(isOpen);
    const names = open.slice(0, 5).map(({ deviceId, messageId, state, sends }) =>
      `${messageId} of ${deviceId}, ${state}, ${sends} copies`
    );
    site.violations.push(`${(error as Error).message}: ${names.join("; ")}`);
  }
}

function commandsOf(site: FaultSite) {
  return site.live.withStore((store) => [...new CommandRows(store).all({})]);
}

/** Callbacks that wait for a gateway. */
function callbacksOf(site: FaultSite) {
  return site.live.withStore((store) =>
    store.prepare("SELECT message_id, command_state FROM outbox WHERE command_state IS NOT NULL")
      .all().map((row) => ({
        messageId: row["message_id"] as string,
        state: row["command_state"] as CommandState,
      }))
  );
}

function noteOf(figures: CommandFigures): string {
  const { asked, accepted, repeated, copies, executed, reports } = figures;
  const { lost, executedTwice, falseClaims, unknown } = figures;
  return `${asked} asked for and ${repeated} times again, ${accepted} accepted, ${copies} copies, ` +
    `${executed} executed, ${lost} lost, ${executedTwice} executed twice, ` +
    `${unknown} sent and never acknowledged; ${reports} states told, ${falseClaims} that claim too much`;
}
