/** Every fault that chance can think of, one upon the other, on one site. */

import { setTimeout as pause } from "node:timers/promises";
import { Dice } from "./dice.ts";
import { type FaultSite, withFaultSite } from "./fault_site.ts";
import type { Findings, Scenario, ScenarioOptions } from "./scenario.ts";

/** Longest time that a fault lasts, and that passes between two. */
const FAULT_MAX_MS = 1_500;

/** So small that intake pauses whenever the backend is away. */
const PENDING_MAX = 150;

/** A fault that lasts for so long, and is then mended. */
type Fault = (site: FaultSite, ms: number) => Promise<void>;

/** Kills, hangs, locks and refusals in an order that comes from the seed. */
export const EVERYTHING: Scenario = {
  name: "everything at once",
  run: (options) =>
    withFaultSite((site) => runAll(site, options), {
      fleet: { seed: options.seed, devices: 8, everyMs: 30 },
      settings: { STORE_MAX_PENDING: String(PENDING_MAX), BACKEND_TIMEOUT: "2s" },
    }),
};

async function runAll(site: FaultSite, options: ScenarioOptions): Promise<Findings> {
  const count = options.long ? 120 : 6;
  const dice = new Dice(options.seed);
  await site.start();
  for (let i = 1; i <= count; i++) {
    const fault = dice.pick(FAULTS);
    await fault(site, dice.below(FAULT_MAX_MS));
    if (dice.below(2) === 0) await pause(dice.below(FAULT_MAX_MS));
    if (i % 20 === 0) options.say?.(`${i} of ${count} faults, ${site.fleet.sent.length} sent`);
  }
  const figures = await site.judge({ answersMayBeLost: true });
  return { ...figures, note: `${count} faults of ${FAULTS.length} kinds` };
}

const FAULTS: readonly Fault[] = [
  gatewayDies,
  gatewayHangs,
  brokerDies,
  brokerHangs,
  bothDie,
  backendRefuses,
  backendHangs,
  storeLocked,
  devicesDrop,
];

async function gatewayDies(site: FaultSite, ms: number): Promise<void> {
  await site.killGateway();
  await pause(ms);
  site.beginGateway();
}

async function gatewayHangs(site: FaultSite, ms: number): Promise<void> {
  site.gateway.kill("SIGSTOP");
  await pause(ms);
  site.gateway.kill("SIGCONT");
}

async function brokerDies(site: FaultSite, ms: number): Promise<void> {
  await site.killBroker();
  await pause(ms);
  await site.live.startBroker();
}

async function brokerHangs(site: FaultSite, ms: number): Promise<void> {
  site.live.broker!.kill("SIGSTOP");
  await pause(ms);
  site.live.broker!.kill("SIGCONT");
}

async function bothDie(site: FaultSite, ms: number): Promise<void> {
  await Promise.all([site.killGateway(), site.killBroker()]);
  await pause(ms);
  site.beginGateway();
  await site.live.startBroker();
}

async function backendRefuses(site: FaultSite, ms: number): Promise<void> {
  site.beforeAnswer = () => new Response(null, { status: 503 });
  await pause(ms);
  site.beforeAnswer = () => {};
}

async function backendHangs(site: FaultSite, ms: number): Promise<void> {
  site.beforeAnswer = () => pause(ms);
  await pause(ms);
  site.beforeAnswer = () => {};
}

async function storeLocked(site: FaultSite, ms: number): Promise<void> {
  await site.whileLocked(() => pause(ms));
}

function devicesDrop(site: FaultSite, ms: number): Promise<void> {
  for (let i = 0; i < site.fleet.devices.length / 2; i++) site.fleet.dropOne();
  return pause(ms);
}
