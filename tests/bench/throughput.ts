/** Throughput: a burst through this gateway and its rivals, in turns. */

import { withBenchSite } from "./bench_site.ts";
import { type Burst, burstOnSite } from "./burst.ts";
import { gateway } from "./contender.ts";
import type { Figure, Findings, Part } from "./part.ts";
import { rivals } from "./rivals.ts";
import type { Scale } from "./scale.ts";
import { median } from "./statistics.ts";
import { readable, type Table } from "./table.ts";

const TARGET_RATIO = 8;
const TARGET_RSS_MIB = 150 * 1e6 / 2 ** 20;

/** The part. */
export const THROUGHPUT: Part = {
  name: "throughput",
  purpose: "a burst through this gateway, the reference script and Node-RED, in turns",
  measure,
};

/** A contender's bursts, boiled down to their medians. */
export type ContenderSummary = Burst & { readonly ratio: number | undefined };

async function measure({ rounds, devices, messages }: Scale): Promise<Findings> {
  const all = rivals();
  const ready = all.filter((rival) => rival.installed).map(({ contender }) => contender);
  const missing = all.filter((rival) => !rival.installed);
  const bursts: Burst[][] = [];
  for (let round = 0; round < rounds; round++) {
    bursts.push([]);
    for (const contender of [gateway(), ...ready]) {
      bursts[round]!.push(
        await withBenchSite({ devices }, (site) => burstOnSite(site, contender, messages)),
      );
    }
  }
  const summaries = summarise(bursts);
  return {
    figures: figuresOf(summaries),
    table: tableOf(summaries),
    notes: missing.map(({ name, hint }) => `${name} is not installed here, and left out: ${hint}`),
    data: { bursts, summaries },
  };
}

/** Medians over the rounds; ratios are taken within a round, since the machine changes. */
function summarise(rounds: readonly (readonly Burst[])[]): ContenderSummary[] {
  const reference = rounds[0]!.findIndex(({ contender }) => contender.includes("reference"));
  return rounds[0]!.map((first, i) => {
    const own = rounds.map((round) => round[i]!);
    const medianOf = (read: (burst: Burst) => number) => median(own.map(read));
    return {
      ...first,
      lost: Math.max(...own.map(({ lost }) => lost)),
      perSecond: medianOf(({ perSecond }) => perSecond),
      offeredPerSecond: medianOf(({ offeredPerSecond }) => offeredPerSecond),
      cpuMicros: {
        contender: medianOf(({ cpuMicros }) => cpuMicros.contender),
        broker: medianOf(({ cpuMicros }) => cpuMicros.broker),
        backend: medianOf(({ cpuMicros }) => cpuMicros.backend),
        publishers: medianOf(({ cpuMicros }) => cpuMicros.publishers),
      },
      rssPeakMib: Math.max(...own.map(({ rssPeakMib }) => rssPeakMib)),
      load: Math.max(...own.map(({ load }) => load)),
      ratio: reference < 0
        ? undefined
        : median(rounds.map((round) => round[i]!.perSecond / round[reference]!.perSecond)),
    };
  });
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

function tableOf(summaries: readonly ContenderSummary[]): Table {
  return {
    head: [
      "",
      "messages/s",
      "ratio",
      "offered/s",
      "CPU µs a message",
      "broker",
      "backend",
      "publishers",
      "RSS MiB",
      "lost",
    ],
    rows: summaries.map((one) => [
      one.contender,
      readable(one.perSecond),
      one.ratio === undefined ? "" : readable(one.ratio),
      readable(one.offeredPerSecond),
      readable(one.cpuMicros.contender),
      readable(one.cpuMicros.broker),
      readable(one.cpuMicros.backend),
      readable(one.cpuMicros.publishers),
      readable(one.rssPeakMib),
      readable(one.lost),
    ]),
  };
}
