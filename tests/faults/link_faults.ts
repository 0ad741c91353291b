/** The link to the broker: it dies, hangs, is away, forgets, or something else listens in its place. */

import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { poll } from "../../src/time/poll.ts";
import { keyOf } from "./checker.ts";
import { DeafListener } from "./deaf_listener.ts";
import { Dice } from "./dice.ts";
import { type FaultSite, withFaultSite } from "./fault_site.ts";
import type { Findings, Scenario, ScenarioOptions } from "./scenario.ts";
import { Recoveries } from "./recoveries.ts";

const FLEET = { devices: 5, everyMs: 50 };

/** The gateway waits up to 5 s before it tries the broker again, and then has to connect. */
const RECOVERY_MAX_MS = 8_000;

const KEEPALIVE = "5s";

/** MQTT gives up on a silent other side after one and a half keepalives. */
const LONGER_THAN_KEEPALIVE_MS = 10_000;

/** The broker looks after silent clients every few seconds only. */
const GIVEN_UP_MS = 14_000;

/** Does its worst, waits for readings after each time, and says what it did. */
type Fault = (
  site: FaultSite,
  recoveries: Recoveries,
  options: ScenarioOptions,
) => Promise<string>;

/** What goes wrong between gateway and broker, each as a scenario. */
export const LINK_FAULTS: readonly Scenario[] = [
  { name: "broker killed", run: (options) => run(dies, options) },
  { name: "broker and gateway killed together", run: (options) => run(diesWithGateway, options) },
  { name: "broker stopped for longer than keepalive", run: (options) => run(hangs, options) },
  { name: "gateway stopped for longer than keepalive", run: (options) => run(sleeps, options) },
  { name: "broker unreachable", run: (options) => run(isAway, options) },
  { name: "broker restarted without its persistence", run: (options) => run(forgets, options) },
  { name: "broker replaced by a silent port", run: (options) => run(isSilent, options) },
];

async function run(fault: Fault, options: ScenarioOptions): Promise<Findings> {
  const fleet = { ...FLEET, ...(options.long && { everyMs: 20 }), seed: options.seed };
  const settings = { BROKER_KEEPALIVE: KEEPALIVE, BACKEND_TIMEOUT: "10m" };
  return await withFaultSite(async (site) => {
    const recoveries = new Recoveries(RECOVERY_MAX_MS, options);
    await site.start();
    const remark = await fault(site, recoveries, options);
    // A broker that has died may have forgotten answers; the messages arrive all the same.
    // A gateway that died or slept cannot know that a POST of its former life has arrived.
    const onceOnly = fault !== diesWithGateway && fault !== sleeps;
    const figures = await site.judge({ answersMayBeLost: true, onceOnly });
    return { ...figures, note: `${remark}; ${recoveries}` };
  }, { fleet, settings });
}

/** `kill -9` at random moments. */
async function dies(
  site: FaultSite,
  recoveries: Recoveries,
  options: ScenarioOptions,
): Promise<string> {
  const deaths = options.long ? 40 : 2;
  const dice = new Dice(options.seed);
  for (let death = 1; death <= deaths; death++) {
    await pause(dice.below(2_000));
    await site.killBroker();
    await startBrokerAgain(site);
    await recoveries.take(site);
    if (death % 10 === 0) options.say?.(`${death} of ${deaths} deaths; ${recoveries}`);
  }
  return `${deaths} deaths`;
}

/**
 * The machine's power is cut: the broker dies while it holds what no gateway has taken. What it had
 * acknowledged and lost is counted while the devices stay away; then they send it again.
 */
async function diesWithGateway(
  site: FaultSite,
  recoveries: Recoveries,
  options: ScenarioOptions,
): Promise<string> {
  const deaths = options.long ? 20 : 1;
  const dice = new Dice(options.seed);
  let lost = 0;
  for (let death = 1; death <= deaths; death++) {
    await pause(dice.below(1_500));
    await site.killGateway();
    await pause(dice.below(2_000));
    const acknowledged = await site.killBroker();
    site.fleet.hold();
    await site.live.startBroker();
    const life = site.beginGateway();
    await life.logged("caught_up", { timeoutMs: 30_000 });
    const accepted = new Set(site.stored().accepted.map(keyOf));
    lost += acknowledged.filter((message) => !accepted.has(keyOf(message))).length;
    site.interrupted();
    site.fleet.release();
    await recoveries.take(site);
    if (death % 10 === 0) options.say?.(`${death} of ${deaths} deaths; ${recoveries}`);
  }
  return `${deaths} deaths; ${lost} messages lost by the broker and sent again by their devices`;
}

async function hangs(
  site: FaultSite,
  recoveries: Recoveries,
  options: ScenarioOptions,
): Promise<string> {
  const times = options.long ? [LONGER_THAN_KEEPALIVE_MS, 30_000, 60_000] : [
    LONGER_THAN_KEEPALIVE_MS,
  ];
  for (const ms of times) {
    site.live.broker!.kill("SIGSTOP");
    await pause(ms);
    site.live.broker!.kill("SIGCONT");
    site.interrupted();
    await recoveries.take(site);
    await pause(1_000);
  }
  const noticed = site.gateway.records("broker_disconnected").length;
  if (noticed < times.length) {
    site.violations.push(`Noticed ${noticed} of ${times.length} times that the broker hung`);
  }
  return `hung for ${times.map((ms) => `${ms / 1000} s`).join(", ")}`;
}

/** The broker gives it up; what it had on the way is in the gateway twice when it wakes up. */
async function sleeps(
  site: FaultSite,
  recoveries: Recoveries,
  options: ScenarioOptions,
): Promise<string> {
  const times = options.long ? 5 : 1;
  for (let time = 1; time <= times; time++) {
    site.gateway.kill("SIGSTOP");
    await pause(GIVEN_UP_MS);
    site.gateway.kill("SIGCONT");
    site.interrupted();
    await recoveries.take(site);
    await site.connected(time + 1);
  }
  return `${times} times for ${GIVEN_UP_MS / 1000} s`;
}

async function isAway(
  site: FaultSite,
  recoveries: Recoveries,
  options: ScenarioOptions,
): Promise<string> {
  const awayMs = options.long ? 90_000 : 3_000;
  await site.live.stopBroker();
  site.fleet.doubt();
  await pause(awayMs);
  await startBrokerAgain(site);
  await recoveries.take(site);
  await pause(1_000);
  return `away for ${awayMs / 1000} s`;
}

/** Cleanly and by force in turns, and each time with an empty memory. */
async function forgets(
  site: FaultSite,
  recoveries: Recoveries,
  options: ScenarioOptions,
): Promise<string> {
  const times = options.long ? 20 : 2;
  const dice = new Dice(options.seed);
  for (let time = 1; time <= times; time++) {
    await pause(300 + dice.below(1_500));
    if (time % 2 === 0) await site.killBroker();
    else await site.live.stopBroker();
    site.fleet.doubt();
    await forget(join(site.live.layout.brokerFolder, "mosquitto.db"));
    await startBrokerAgain(site);
    await recoveries.take(site);
  }
  return `${times} times`;
}

/** A port that accepts and says nothing; and in the long form, one that talks and does nothing. */
async function isSilent(
  site: FaultSite,
  recoveries: Recoveries,
  options: ScenarioOptions,
): Promise<string> {
  const { port } = site.live.config.broker;
  const impostors = [() => DeafListener.silent(port)];
  if (options.long) impostors.push(() => DeafListener.idle(port, site.live.layout));
  for (const impostor of impostors) {
    await site.live.stopBroker();
    site.fleet.doubt();
    const listener = impostor();
    try {
      await poll("the gateway to make a new client", () => listener.accepted >= 2, {
        timeoutMs: 60_000,
      });
    } finally {
      await listener.close();
    }
    await startBrokerAgain(site);
    await recoveries.take(site);
    await pause(500);
  }
  return options.long ? "a silent one, and one that does nothing" : "a silent one";
}

/** A broker that dies young has written nothing yet. */
async function forget(path: string): Promise<void> {
  await Deno.remove(path).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
}

async function startBrokerAgain(site: FaultSite): Promise<void> {
  await site.live.startBroker();
  site.interrupted();
}
