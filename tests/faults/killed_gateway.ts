/** The gateway dies by SIGKILL under load: at moments that chance picks, and at every named point. */

import { setTimeout as pause } from "node:timers/promises";
import { poll } from "../../src/time/poll.ts";
import { FAILPOINTS } from "../../src/core/failpoint.ts";
import { Dice } from "./dice.ts";
import { type FaultSite, withFaultSite } from "./fault_site.ts";
import type { Failpoint } from "./gateway_life.ts";
import { Recoveries } from "./recoveries.ts";
import type { Findings, Scenario, ScenarioOptions } from "./scenario.ts";

const FLEET = { devices: 8, everyMs: 25 };

/** How long a new life may take to forward, its own start included. */
const RECOVERY_MAX_MS = 5_000;

/** Longest life that chance gives a gateway once it forwards. */
const LIFE_MAX_MS = 800;

/** Longest life of one that dies young, most often before it is ready. */
const CHILDHOOD_MAX_MS = 500;

/** Longest time for which the store is locked before a death. */
const LOCK_MAX_MS = 400;

/** What an answer takes where answers are to be under way at a death. */
const ANSWER_MS = 300;

/** Highest passing of a point at which a gateway ends. */
const PASSING_MAX = 25;

/** How long a life may take to come to its point. */
const LIFE_TIMEOUT_MS = 60_000;

/** `kill -9` by somebody else, by the gateway itself, and by the backend that it has asked. */
export const KILLED_GATEWAY: readonly Scenario[] = [
  { name: "gateway killed at random moments", run: (options) => run(killAtRandom, options) },
  { name: "gateway killed at six points", run: (options) => run(killAtPoints, options) },
  { name: "gateway killed without its broker", run: (options) => run(killAlone, options) },
];

async function run(kill: typeof killAtRandom, options: ScenarioOptions): Promise<Findings> {
  const fleet = { ...FLEET, seed: options.seed };
  return await withFaultSite((site) => kill(site, options), { fleet });
}

/** At random moments: a quarter of them early in a life, a quarter while the store is locked. */
async function killAtRandom(site: FaultSite, options: ScenarioOptions): Promise<Findings> {
  const deaths = options.long ? 200 : 4;
  const dice = new Dice(options.seed);
  const recoveries = new Recoveries(RECOVERY_MAX_MS, options);
  await site.start();
  for (let death = 1; death <= deaths; death++) {
    if (death > 1 && dice.below(4) > 0) await recoveries.take(site);
    await pause(dice.below(site.forwards ? LIFE_MAX_MS : CHILDHOOD_MAX_MS));
    if (dice.below(4) === 0) site.fleet.dropOne();
    // While nothing can be written, nothing may be acknowledged.
    if (dice.below(4) === 0) await site.whileLocked(() => endAfter(dice.below(LOCK_MAX_MS), site));
    else await site.killGateway();
    site.beginGateway();
    if (death % 20 === 0) options.say?.(`${death} of ${deaths} deaths; ${recoveries}`);
  }
  await recoveries.take(site);
  const figures = await site.judge();
  return { ...figures, note: `${deaths} deaths; ${recoveries}` };
}

/** While answers wait for a broker that is away: none of them may be forgotten. */
async function killAlone(site: FaultSite, options: ScenarioOptions): Promise<Findings> {
  const deaths = options.long ? 30 : 2;
  const dice = new Dice(options.seed);
  const recoveries = new Recoveries(RECOVERY_MAX_MS, options);
  await site.start();
  for (let death = 1; death <= deaths; death++) {
    await pause(dice.below(LIFE_MAX_MS));
    site.beforeAnswer = () => pause(ANSWER_MS);
    await pause(dice.below(ANSWER_MS));
    await site.live.stopBroker();
    await endAfter(dice.below(2 * ANSWER_MS), site);
    site.beforeAnswer = () => {};
    await site.live.startBroker();
    site.beginGateway();
    await recoveries.take(site);
    if (death % 10 === 0) options.say?.(`${death} of ${deaths} deaths; ${recoveries}`);
  }
  const figures = await site.judge();
  return { ...figures, note: `${deaths} deaths; ${recoveries}` };
}

/** At each of the points, and once more while a POST is at the backend and its answer is not out. */
async function killAtPoints(site: FaultSite, options: ScenarioOptions): Promise<Findings> {
  const rounds = options.long ? 15 : 1;
  const dice = new Dice(options.seed);
  const recoveries = new Recoveries(RECOVERY_MAX_MS, options);
  await site.start();
  await site.killGateway();
  for (let round = 0; round < rounds; round++) {
    for (const point of FAILPOINTS) {
      // The first passing of all, and then any.
      const passing = round === 1 ? 1 : 1 + dice.below(PASSING_MAX);
      await dieAt(site, { point, passing }, recoveries);
    }
    await dieAtBackend(site, 1 + dice.below(PASSING_MAX), recoveries);
    options.say?.(`round ${round + 1} of ${rounds}; ${recoveries}`);
  }
  site.beginGateway();
  await recoveries.take(site);
  const figures = await site.judge();
  return { ...figures, note: `${rounds * (FAILPOINTS.length + 1)} deaths; ${recoveries}` };
}

async function endAfter(ms: number, site: FaultSite): Promise<void> {
  await pause(ms);
  await site.killGateway();
}

/** One life that ends itself. */
async function dieAt(site: FaultSite, failpoint: Failpoint, recoveries: Recoveries): Promise<void> {
  const life = site.beginGateway({ failpoint });
  const { point, passing } = failpoint;
  await poll("readings, or the end", () => site.forwards || !life.running, {
    timeoutMs: LIFE_TIMEOUT_MS,
  });
  if (site.forwards) await recoveries.take(site);
  await poll(`passing ${passing} of "${point}"`, () => !life.running, {
    timeoutMs: LIFE_TIMEOUT_MS,
  });
  const { signal } = await life.exited;
  if (signal !== "SIGKILL") site.violations.push(`Ended by ${signal}, not at "${point}"`);
  site.gatewayDied();
}

/** One life that ends when a POST of it has come to the backend in full, and no answer has gone. */
async function dieAtBackend(
  site: FaultSite,
  passing: number,
  recoveries: Recoveries,
): Promise<void> {
  let left = passing;
  const life = site.beginGateway();
  site.beforeAnswer = () => {
    if (--left === 0) life.kill("SIGKILL");
  };
  await recoveries.take(site);
  await poll("the end by the backend", () => !life.running, { timeoutMs: LIFE_TIMEOUT_MS });
  await life.exited;
  site.beforeAnswer = () => {};
  site.gatewayDied();
}
