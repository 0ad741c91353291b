/** The backend: away, silent, cut off, overloaded, out of order, or at odds with one device. */

import { setTimeout as pause } from "node:timers/promises";
import { poll } from "../../src/time/poll.ts";
import { BackendLine } from "./backend_line.ts";
import { Dice } from "./dice.ts";
import { type FaultSite, WAIT_MAX_MS, withFaultSite } from "./fault_site.ts";
import type { Findings, Scenario, ScenarioOptions } from "./scenario.ts";

const FLEET = { devices: 8, everyMs: 40 };
const TIMEOUT_MS = 1_000;

/** Longest time that a fault lasts, in the long form and in the short one. */
const FAULT_MAX_MS = 2_000;
const SHORT_FAULT_MAX_MS = 300;

/** What a backend may answer when it wants a message again. */
const AGAIN = [408, 425, 429, 500, 502, 503, 504];

/** How long the line stays dead: all that were waiting for an answer run into their time-out. */
const DEAD_MS = 2 * TIMEOUT_MS;

/** A fault that lasts for so long, and is then mended. */
type Fault = (parts: Parts, ms: number) => Promise<void>;

interface Parts {
  readonly site: FaultSite;
  readonly line: BackendLine;
  readonly dice: Dice;
}

/** Faults of the backend in an order that comes from the seed, and one long outage in the end. */
export const BACKEND_FAULTS: Scenario = { name: "backend away, silent, cut off, refusing", run };

async function run(options: ScenarioOptions): Promise<Findings> {
  const line = BackendLine.open();
  try {
    return await withFaultSite((site) => runAll({ site, line, options }), {
      fleet: { ...FLEET, seed: options.seed },
      settings: { BACKEND_URL: line.url, BACKEND_TIMEOUT: `${TIMEOUT_MS}ms` },
    });
  } finally {
    await line.close();
  }
}

async function runAll(
  { site, line, options }: { site: FaultSite; line: BackendLine; options: ScenarioOptions },
): Promise<Findings> {
  line.target = site.live.backend.port;
  const parts = { site, line, dice: new Dice(options.seed) };
  await site.start();
  const [count, maxMs] = options.long ? [60, FAULT_MAX_MS] : [FAULTS.length, SHORT_FAULT_MAX_MS];
  for (let i = 0; i < count; i++) {
    // Each once, and then by chance.
    const fault = FAULTS[i] ?? parts.dice.pick(FAULTS);
    await fault(parts, parts.dice.below(maxMs));
    await pause(parts.dice.below(maxMs / 2));
    if (i % 20 === 19) options.say?.(`${i + 1} of ${count} faults, ${site.fleet.sent.length} sent`);
  }
  const outageMs = options.long ? 60_000 : 1_000;
  const remark = await outage(parts, outageMs);
  const connects = await site.live.metric("broker_connects_total");
  if (connects !== 1) site.violations.push(`The gateway connected ${connects} times`);
  const figures = await site.judge();
  return { ...figures, note: `${count} faults; ${figures.dead} dead letters; ${remark}` };
}

/** Everything waits in the outbox, and goes out when the backend is back. */
async function outage({ site, line }: Parts, ms: number): Promise<string> {
  line.refuse();
  await pause(ms);
  const waited = await poll("something to wait in the outbox", () => site.pending() || false, {
    timeoutMs: WAIT_MAX_MS,
  });
  line.listen();
  const fromMs = performance.now();
  await site.settle();
  const took = ((performance.now() - fromMs) / 1000).toFixed(1);
  return `${waited} that waited for ${ms / 1000} s were taken within ${took} s`;
}

const FAULTS: readonly Fault[] = [
  refuses,
  isSilent,
  cutsOff,
  asksForLater,
  asksForLaterWithTime,
  isSlow,
  refusesOneForGood,
  hangsOnOne,
];

async function refuses({ line }: Parts, ms: number): Promise<void> {
  line.refuse();
  await pause(ms);
  line.listen();
}

async function isSilent({ line }: Parts): Promise<void> {
  line.dead = true;
  await pause(DEAD_MS);
  line.cut(); // what was swallowed does not come any more
  line.dead = false;
}

async function cutsOff({ line, dice }: Parts, ms: number): Promise<void> {
  const endMs = performance.now() + ms;
  while (performance.now() < endMs) {
    line.cut();
    await pause(dice.below(100));
  }
}

async function asksForLater({ site, dice }: Parts, ms: number): Promise<void> {
  site.beforeAnswer = () => new Response(null, { status: dice.pick(AGAIN) });
  await pause(ms);
  site.beforeAnswer = () => {};
}

async function asksForLaterWithTime({ site, dice }: Parts, ms: number): Promise<void> {
  const headers = { "retry-after": "1" };
  site.beforeAnswer = () => new Response(null, { status: dice.pick(AGAIN), headers });
  await pause(ms);
  site.beforeAnswer = () => {};
}

async function isSlow({ site, dice }: Parts, ms: number): Promise<void> {
  site.beforeAnswer = () => pause(dice.below(TIMEOUT_MS / 2));
  await pause(ms);
  site.beforeAnswer = () => {};
}

async function refusesOneForGood({ site, dice }: Parts, ms: number): Promise<void> {
  const { deviceId: ill } = dice.pick(site.fleet.devices);
  const status = dice.pick([400, 410, 415, 422]);
  site.beforeAnswer = ({ deviceId, messageId }) =>
    deviceId === ill ? new Response(messageId, { status }) : undefined;
  await pause(ms);
  site.beforeAnswer = () => {};
}

/** The others' readings go on, however short of time the machine is. */
async function hangsOnOne({ site, dice }: Parts, ms: number): Promise<void> {
  const { deviceId: ill } = dice.pick(site.fleet.devices);
  let others = 0;
  site.beforeAnswer = ({ deviceId }) => {
    if (deviceId !== ill) return void others++;
    return pause(2 * TIMEOUT_MS);
  };
  await pause(TIMEOUT_MS + ms);
  await poll(`others to be served while ${ill} hangs`, () => others > 0, {
    timeoutMs: WAIT_MAX_MS,
  });
  site.beforeAnswer = () => {};
}
