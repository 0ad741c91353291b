/** Batches: a burst as batches, and one POST for each message, and the reference script, in turns. */

import { type Contest, contestTable, holdContest } from "./contest.ts";
import { gateway } from "./contender.ts";
import type { Burst } from "./burst.ts";
import { ItemBackend } from "./item_backend.ts";
import type { Figure, Findings, Part } from "./part.ts";
import { referenceScript } from "./rivals.ts";
import type { Scale } from "./scale.ts";
import { median } from "./statistics.ts";

/** Most messages in a batch, of those parts that send batches. */
export const BATCH_SETTINGS = { BACKEND_BATCH_MAX: "100" } as const;

const CPU_MAX_PERCENT = 60;
const THROUGHPUT_MIN_TIMES = 1.5;

/** The part. */
export const BATCHES: Part = {
  name: "batches",
  purpose: "a burst in batches of up to 100, and one POST for each message, in turns",
  measure,
};

/** One POST each goes to nginx, which costs least; batches to a program that answers each item. */
async function measure(scale: Scale): Promise<Findings> {
  const reference = referenceScript();
  const contest = await holdContest([
    { contender: gateway({}, "one POST each") },
    {
      contender: gateway(BATCH_SETTINGS, "batches of up to 100"),
      startBackend: () => ItemBackend.start({ delayMs: 0 }),
    },
    ...(reference.installed ? [reference] : []),
  ], scale);
  return {
    figures: figuresOf(contest),
    table: contestTable(contest.summaries),
    notes: reference.installed
      ? []
      : [`${reference.name} is not installed here, and left out: ${reference.hint}`],
    data: contest,
  };
}

/** Ratios are taken within a round, since the machine changes. */
function figuresOf({ bursts, summaries }: Contest): Figure[] {
  const [single, batches] = summaries;
  const ratio = (read: (burst: Burst) => number) =>
    median(bursts.map((round) => read(round[1]!) / read(round[0]!)));
  return [
    {
      what: "CPU time of the gateway a message, of that with one POST each",
      value: 100 * ratio(({ cpuMicros }) => cpuMicros.contender),
      unit: "%",
      target: { atMost: CPU_MAX_PERCENT },
    },
    {
      what: "throughput, against one POST each",
      value: ratio(({ perSecond }) => perSecond),
      unit: "times",
      target: { atLeast: THROUGHPUT_MIN_TIMES },
    },
    {
      what: "lost",
      value: single!.lost + batches!.lost,
      unit: "messages",
      target: { atMost: 0 },
    },
    { what: "largest RSS with batches", value: batches!.rssPeakMib, unit: "MiB" },
  ];
}
