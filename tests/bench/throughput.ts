/** Throughput: a burst through this gateway and its rivals, in turns. */

import { type ContenderSummary, contestTable, holdContest } from "./contest.ts";
import { gateway } from "./contender.ts";
import type { Figure, Findings, Part } from "./part.ts";
import { rivals } from "./rivals.ts";
import type { Scale } from "./scale.ts";

const TARGET_RATIO = 8;
const TARGET_RSS_MIB = 150 * 1e6 / 2 ** 20;

/** The part. */
export const THROUGHPUT: Part = {
  name: "throughput",
  purpose: "a burst through this gateway, the reference script and Node-RED, in turns",
  measure,
};

async function measure(scale: Scale): Promise<Findings> {
  const all = rivals();
  const ready = all.filter((rival) => rival.installed);
  const missing = all.filter((rival) => !rival.installed);
  const { bursts, summaries } = await holdContest([{ contender: gateway() }, ...ready], scale);
  return {
    figures: figuresOf(summaries),
    table: contestTable(summaries),
    notes: missing.map(({ name, hint }) => `${name} is not installed here, and left out: ${hint}`),
    data: { bursts, summaries },
  };
}

function figuresOf([own]: readonly ContenderSummary[]): Figure[] {
  const { perSecond, ratio, lost, rssPeakMib, cpuMicros } = own!;
  const against: Figure[] = ratio === undefined ? [] : [{
    what: "against the reference script",
    value: ratio,
    unit: "times",
    target: { atLeast: TARGET_RATIO },
  }];
  return [
    { what: "throughput", value: perSecond, unit: "messages/s" },
    ...against,
    { what: "CPU time of the gateway", value: cpuMicros.contender, unit: "µs a message" },
    { what: "lost", value: lost, unit: "messages", target: { atMost: 0 } },
    { what: "largest RSS", value: rssPeakMib, unit: "MiB", target: { atMost: TARGET_RSS_MIB } },
  ];
}
