/** Bursts through several contenders in turns, and what each made of them. */

import type { BenchBackend } from "./bench_backend.ts";
import { withBenchSite } from "./bench_site.ts";
import { type Burst, burstOnSite } from "./burst.ts";
import type { Contender } from "./contender.ts";
import { REFERENCE_NAME } from "./rivals.ts";
import type { Scale } from "./scale.ts";
import { median } from "./statistics.ts";
import { readable, type Table } from "./table.ts";

/** Who takes part, and with which backend: nginx where not given. */
export interface Entrant {
  readonly contender: Contender;
  readonly startBackend?: () => Promise<BenchBackend>;
}

/** A contender's bursts, boiled down to their medians. */
export type ContenderSummary = Burst & { readonly ratio: number | undefined };

/** What a contest gives. */
export interface Contest {
  /** Of each round, in the order of the entrants. */
  readonly bursts: readonly (readonly Burst[])[];
  /** In the order of the entrants. */
  readonly summaries: readonly ContenderSummary[];
}

/** Measures all entrants in turns, each with a new site. */
export async function holdContest(
  entrants: readonly Entrant[],
  { rounds, devices, messages }: Pick<Scale, "rounds" | "devices" | "messages">,
): Promise<Contest> {
  const bursts: Burst[][] = [];
  for (let round = 0; round < rounds; round++) {
    const own: Burst[] = [];
    for (const { contender, ...backend } of entrants) {
      own.push(
        await withBenchSite(
          { devices, ...backend },
          (site) => burstOnSite(site, contender, messages),
        ),
      );
    }
    bursts.push(own);
  }
  return { bursts, summaries: summarise(bursts) };
}

/** The summaries as a table, a row each. */
export function contestTable(summaries: readonly ContenderSummary[]): Table {
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

/** Ratios are taken within a round, since the machine changes. */
function summarise(rounds: readonly (readonly Burst[])[]): ContenderSummary[] {
  const reference = rounds[0]!.findIndex(({ contender }) => contender === REFERENCE_NAME);
  return rounds[0]!.map((_, i) => ({
    ...medianBurst(rounds.map((round) => round[i]!)),
    ratio: reference < 0
      ? undefined
      : median(rounds.map((round) => round[i]!.perSecond / round[reference]!.perSecond)),
  }));
}

/** One burst that stands for several of the same contender. */
export function medianBurst(bursts: readonly Burst[]): Burst {
  const medianOf = (read: (burst: Burst) => number) => median(bursts.map(read));
  return {
    ...bursts[0]!,
    lost: Math.max(...bursts.map(({ lost }) => lost)),
    perSecond: medianOf(({ perSecond }) => perSecond),
    offeredPerSecond: medianOf(({ offeredPerSecond }) => offeredPerSecond),
    cpuMicros: {
      contender: medianOf(({ cpuMicros }) => cpuMicros.contender),
      broker: medianOf(({ cpuMicros }) => cpuMicros.broker),
      backend: medianOf(({ cpuMicros }) => cpuMicros.backend),
      publishers: medianOf(({ cpuMicros }) => cpuMicros.publishers),
    },
    rssPeakMib: Math.max(...bursts.map(({ rssPeakMib }) => rssPeakMib)),
    load: Math.max(...bursts.map(({ load }) => load)),
  };
}
