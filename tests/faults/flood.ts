/** One device sends ten times what it may: the others must not feel it. */

import { setTimeout as pause } from "node:timers/promises";
import { allowedMs } from "./busy_machine.ts";
import { Dice } from "./dice.ts";
import { type FaultSite, withFaultSite } from "./fault_site.ts";
import type { KeptMessage } from "./fleet_device.ts";
import type { Findings, Scenario, ScenarioOptions } from "./scenario.ts";

/** What one device may send, and at once after a pause; an honest one sends ten a second. */
const RATE_PER_SECOND = 25;
const BURST = 50;
const FLEET = { devices: 8, everyMs: 100 };

/** More than ten times the rate: a timer adds about a millisecond to each turn. */
const FLOOD_EVERY_MS = 2;

/** Until everything has run once. */
const WARM_UP_MS = 1_000;

/** What half of the others' messages may take; on an idle machine it is a few milliseconds. */
const MEDIAN_MAX_MS = 100;

/** How long the others wait for their answers, with and without a flood. */
export const FLOOD: Scenario = { name: "one device floods", alone: true, run };

function run(options: ScenarioOptions): Promise<Findings> {
  return withFaultSite((site) => flood(site, options), {
    fleet: { ...FLEET, seed: options.seed },
    settings: {
      CHECKS_RATE_LIMIT_PER_SECOND: String(RATE_PER_SECOND),
      CHECKS_RATE_LIMIT_BURST: String(BURST),
    },
  });
}

async function flood(site: FaultSite, options: ScenarioOptions): Promise<Findings> {
  const phaseMs = options.long ? 30_000 : 2_000;
  await site.start();
  const honest = [...site.fleet.devices];
  await pause(WARM_UP_MS);
  const warmMs = performance.now();
  await pause(phaseMs);
  const beforeMs = performance.now();
  const flooder = await site.fleet.join(site.live, "flooder", {
    port: site.live.config.devices.port,
    dice: new Dice(options.seed),
    everyMs: FLOOD_EVERY_MS,
    unansweredMax: Infinity,
    replayEvery: 0,
    resends: false,
    refusable: true,
  });
  await pause(phaseMs);
  const rate = Math.round(flooder.sent.length / (performance.now() - beforeMs) * 1000);
  const refused = await site.live.metric('rejected_total{code="rate_limited"}');
  if (refused === 0) site.violations.push("Nothing of the flood was refused");
  await site.settle();
  const sent = honest.flatMap(({ sent }) => sent);
  const calm = latencies(sent.filter(({ sentMs }) => sentMs >= warmMs && sentMs < beforeMs));
  const flooded = latencies(sent.filter(({ sentMs }) => sentMs >= beforeMs));
  if (flooded.median > allowedMs(MEDIAN_MAX_MS)) {
    site.violations.push(`The others waited ${flooded.median} ms`);
  }
  const figures = await site.judge({ onceOnly: true });
  const others = `the others' answers took ${calm.text} without the flood and ${flooded.text} with`;
  return { ...figures, note: `${rate}/s where ${RATE_PER_SECOND}/s are allowed; ${others}` };
}

/** From publish to answer. */
function latencies(messages: readonly KeptMessage[]): { median: number; text: string } {
  const sorted = messages.map(({ sentMs, answeredMs }) => answeredMs - sentMs)
    .filter((ms) => !Number.isNaN(ms)).sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.floor(sorted.length * share)] ?? NaN;
  const median = at(0.5);
  return { median, text: `${median.toFixed(1)} ms (p99 ${at(0.99).toFixed(1)} ms)` };
}
