/** More arrives than the backend takes. */

import { setTimeout as pause } from "node:timers/promises";
import { poll } from "../../src/time/poll.ts";
import { type FaultSite, WAIT_MAX_MS, withFaultSite } from "./fault_site.ts";
import type { Findings, Scenario, ScenarioOptions } from "./scenario.ts";

/** What one answer takes while the backend is slow. */
const SLOW_ANSWER_MS = 100;
const CONCURRENCY = 4;

/** What a broker may have on the way to the gateway: its Receive Maximum. */
const UNDER_WAY_MAX = 1_000;

/** What may wait in the gateway's memory besides. */
const WAITING_MAX = 2 * UNDER_WAY_MAX;

const FLOOD_AT_ONCE = 100;

/**
 * Growth of the gateway's memory that counts as flat, from one half to the other. Memory goes up and
 * down like a saw, as garbage is made and collected: what is alive shows at the lowest of each half.
 */
const FLAT_MAX_BYTES = 32 * 1024 * 1024;

/** The broker tells its counters so often. */
const SYS_INTERVAL_SECONDS = 1;

/** An overload while the broker has room, and while it has not. */
export const OVERLOADS: readonly Scenario[] = [
  { name: "overload, and the broker has room", run: runOverload },
  { name: "overload, and the broker drops", run: runOverloadWithDrops },
];

/** What could pile up in the gateway's memory while nothing can be taken. */
export const PILES: readonly Scenario[] = [
  { name: "overload, and the broker comes and goes", run: runOverloadWithRestarts },
  { name: "overload, and a flood that nobody assures", run: runOverloadWithFlood },
];

/** Everything waits where there is room for it: in the outbox up to its limit, then in the broker. */
function runOverload(options: ScenarioOptions): Promise<Findings> {
  const everyMs = options.long ? 30 : 20;
  return withFaultSite((site) => overload(site, options), {
    fleet: { seed: options.seed, devices: 10, everyMs, unansweredMax: Infinity },
    settings: {
      BACKEND_CONCURRENCY: String(CONCURRENCY),
      BACKEND_TIMEOUT: "10m",
      STORE_MAX_PENDING: options.long ? "2000" : "100",
      // Much of what waits becomes older than that: nothing of it may be refused for its age.
      CHECKS_TOLERANCE: options.long ? "30s" : "4s",
    },
  });
}

/** The broker's queue is too short: what it drops is lost, and is said to be. */
function runOverloadWithDrops(options: ScenarioOptions): Promise<Findings> {
  const fleet = { seed: options.seed, devices: 10, everyMs: 20, attacked: false };
  return withFaultSite((site) => overloadWithDrops(site, options), {
    fleet: { ...fleet, unansweredMax: Infinity, resends: false },
    settings: {
      BACKEND_CONCURRENCY: String(CONCURRENCY),
      BACKEND_TIMEOUT: "10m",
      STORE_MAX_PENDING: "100",
    },
    brokerLines: { max_queued_messages: "100", max_inflight_messages: "50" },
    moreBrokerLines: [`sys_interval ${SYS_INTERVAL_SECONDS}`],
  });
}

/** Each restart brings everything again that waits in the gateway: it must not wait there twice. */
function runOverloadWithRestarts(options: ScenarioOptions): Promise<Findings> {
  return runStuck(overloadWithRestarts, options);
}

/** QoS 0 is sent to the gateway whatever waits there already, and whatever the device may send. */
function runOverloadWithFlood(options: ScenarioOptions): Promise<Findings> {
  return runStuck(overloadWithFlood, options);
}

function runStuck(work: typeof overloadWithFlood, options: ScenarioOptions): Promise<Findings> {
  const fleet = { seed: options.seed, devices: 10, everyMs: 10, attacked: false };
  return withFaultSite((site) => stuck(site, () => work(site, options)), {
    fleet: { ...fleet, unansweredMax: 250 },
    // No answer comes until the end, and the gateway waits for it: each message is POSTed once.
    settings: { STORE_MAX_PENDING: "100", BACKEND_TIMEOUT: "10m" },
  });
}

async function overload(site: FaultSite, options: ScenarioOptions): Promise<Findings> {
  const durationMs = options.long ? 180_000 : 6_000;
  site.beforeAnswer = () => pause(SLOW_ANSWER_MS);
  await site.start();
  await site.gateway.logged("intake_paused", { timeoutMs: WAIT_MAX_MS });
  const watch = await watchFor(durationMs, site, options);
  const behind = site.fleet.sent.length - site.live.backend.received.length;
  site.beforeAnswer = () => {};
  const fromMs = performance.now();
  await site.settle();
  const drained = `${behind} that waited were taken in ${seconds(performance.now() - fromMs)}`;
  const connects = await site.live.metric("broker_connects_total");
  if (connects !== 1) site.violations.push(`The gateway connected ${connects} times`);
  const figures = await site.judge({ onceOnly: true });
  return { ...figures, note: `${seconds(durationMs)}; ${watch}; ${drained}` };
}

async function overloadWithDrops(site: FaultSite, options: ScenarioOptions): Promise<Findings> {
  const durationMs = options.long ? 60_000 : 1_000;
  const ending = { onceOnly: true, mayBeMissing: true };
  site.beforeAnswer = () => pause(SLOW_ANSWER_MS);
  await site.start();
  await site.gateway.logged("intake_paused", { timeoutMs: WAIT_MAX_MS });
  await site.gateway.logged("broker_dropped", { timeoutMs: WAIT_MAX_MS });
  await pause(durationMs);
  site.beforeAnswer = () => {};
  await site.settle(ending);
  await pause(2_000 * SYS_INTERVAL_SECONDS); // until the broker has told the last of them
  const droppedByBroker = await site.live.metric("broker_dropped_total");
  const figures = await site.judge({ ...ending, droppedByBroker });
  return { ...figures, note: `${droppedByBroker} dropped by the broker, each one noticed` };
}

/** The backend answers nothing until `work` is done. */
async function stuck(site: FaultSite, work: () => Promise<string>): Promise<Findings> {
  const { promise: answers, resolve: answer } = Promise.withResolvers<void>();
  site.beforeAnswer = () => answers;
  try {
    await site.startGateway();
    await site.startFleet();
    await site.gateway.logged("intake_paused", { timeoutMs: WAIT_MAX_MS });
    await poll("more than may be under way", () => site.fleet.unanswered >= 2 * UNDER_WAY_MAX, {
      timeoutMs: WAIT_MAX_MS,
    });
    const bytes = await site.gateway.residentBytes();
    const remark = await work();
    const growth = await site.gateway.residentBytes() - bytes;
    answer();
    await site.settle({ answersMayBeLost: true });
    await assertLittleWaited(site);
    const figures = await site.judge({ answersMayBeLost: true, onceOnly: true });
    return { ...figures, note: `${remark}, ${mebibytes(growth)} more memory` };
  } finally {
    answer();
  }
}

async function overloadWithRestarts(site: FaultSite, options: ScenarioOptions): Promise<string> {
  const restarts = options.long ? 20 : 3;
  for (let restart = 1; restart <= restarts; restart++) {
    await site.live.stopBroker();
    await site.live.startBroker();
    await site.connected(restart + 1);
    await pause(500); // for what comes again
  }
  return `${restarts} restarts`;
}

async function overloadWithFlood(site: FaultSite, options: ScenarioOptions): Promise<string> {
  const count = (options.long ? 50 : 6) * UNDER_WAY_MAX;
  const device = await site.live.device("flooder");
  for (let i = 0; i < count; i += FLOOD_AT_ONCE) {
    const flood = Array.from({ length: FLOOD_AT_ONCE }, () => device.publish("x", { qos: 0 }));
    await Promise.all(flood);
  }
  // What does not wait is dropped, and none of it in silence.
  const dropped = await poll("the flood's rest to be counted", async () => {
    const overrun = await site.live.metric("qos0_dropped_total");
    return overrun >= count - WAITING_MAX && overrun;
  }, { timeoutMs: WAIT_MAX_MS });
  return `${count} messages with QoS 0, ${dropped} of them dropped and counted`;
}

/** Of copies and of what nobody assures, only so much may have waited in the gateway. */
async function assertLittleWaited(site: FaultSite): Promise<void> {
  const copies = await site.live.metric("duplicates_total");
  const flood = await site.live.metric('rejected_total{code="malformed"}');
  if (copies + flood <= WAITING_MAX) return;
  site.violations.push(`${copies + flood} messages waited in memory, besides ${UNDER_WAY_MAX}`);
}

/** Looks at the gateway for as long as the overload lasts; returns what was seen. */
async function watchFor(
  durationMs: number,
  site: FaultSite,
  options: ScenarioOptions,
): Promise<string> {
  const { maxPending } = site.live.config.store;
  const samples: number[] = [];
  const fromMs = performance.now();
  let most = 0;
  while (performance.now() - fromMs < durationMs) {
    const bytes = await site.gateway.residentBytes();
    samples.push(bytes);
    most = Math.max(most, site.pending());
    if (samples.length % 30 === 0) {
      options.say?.(`${site.fleet.sent.length} sent, ${mebibytes(bytes)}, ${most} in the outbox`);
    }
    await pause(durationMs / 200);
  }
  if (most > maxPending) site.violations.push(`${most} entries in an outbox of ${maxPending}`);
  const half = samples.length / 2;
  const growth = Math.min(...samples.slice(half)) - Math.min(...samples.slice(0, half));
  if (growth > FLAT_MAX_BYTES) site.violations.push(`Memory grew by ${mebibytes(growth)}`);
  const memory = `memory ${mebibytes(Math.min(...samples))} to ${mebibytes(Math.max(...samples))}`;
  return `outbox at most ${most}; ${memory}, at its lowest ${
    mebibytes(growth)
  } more in the second half`;
}

function mebibytes(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
