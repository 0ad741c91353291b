/** The page: what it costs while nobody looks at it, and while ten do, under full load. */

import { withBenchSite } from "./bench_site.ts";
import { type Burst, burst, warmUp } from "./burst.ts";
import { type Contender, gateway, withContender } from "./contender.ts";
import { contestTable, medianBurst } from "./contest.ts";
import { pagelessGateway } from "./pageless_gateway.ts";
import { type Seen, whileLooking } from "./page_viewers.ts";
import type { Figure, Findings, Part } from "./part.ts";
import { processStats } from "./process_stats.ts";
import type { Scale } from "./scale.ts";
import { median, sum } from "./statistics.ts";
import { fillRegistry } from "./store_filling.ts";

const VIEWERS = 10;

const UNSEEN_MIN_PERCENT = 98;
const SEEN_MIN_PERCENT = 95;
const UNSEEN_MAX_MIB = 3;

/** The part. */
export const PAGE: Part = {
  name: "page",
  purpose: "a burst without the page, with it and nobody who looks, and with ten who do, in turns",
  measure,
};

/** One burst. */
interface Turn {
  readonly burst: Burst;
  /** Once messages flow, before the first. */
  readonly rssMib: number;
  readonly seen: Seen | undefined;
}

/** Without the page, with it, and with those who look. */
type Round = readonly [Turn, Turn, Turn];

async function measure(scale: Scale): Promise<Findings> {
  const contenders = [
    await pagelessGateway(),
    gateway({}, "nobody looks"),
    gateway({}, `${VIEWERS} look`),
  ] as const;
  const rounds: Round[] = [];
  for (let round = 0; round < scale.rounds; round++) {
    const turns: Turn[] = [];
    for (const i of orderOf(round)) {
      const viewers = i === 2 ? VIEWERS : 0;
      turns[i] = await takeTurn(contenders[i], { ...scale, viewers });
    }
    rounds.push(turns as unknown as Round);
  }
  const bursts = ([0, 1, 2] as const).map((i) =>
    medianBurst(rounds.map((turns) => turns[i].burst))
  );
  return {
    figures: figuresOf(rounds),
    table: contestTable(bursts.map((one) => ({ ...one, ratio: undefined }))),
    data: rounds,
  };
}

/** Each is first in its turn: what comes first may have a machine that is better rested. */
function orderOf(round: number): (0 | 1 | 2)[] {
  return ([0, 1, 2] as const).map((i) => (i + round) % 3 as 0 | 1 | 2);
}

async function takeTurn(
  contender: Contender,
  { devices, messages, registered, viewers }: Scale & { readonly viewers: number },
): Promise<Turn> {
  return await withBenchSite({ devices }, async (site) => {
    fillRegistry(site.layout.database, registered - devices);
    return await withContender(contender, site, async (running) => {
      const { rssMib } = (await processStats(running.pid))[0]!;
      const runs = [{ site, running }];
      await warmUp(runs, messages);
      if (viewers === 0) return { burst: await burst(runs, messages), rssMib, seen: undefined };
      const [result, seen] = await whileLooking(site, viewers, () => burst(runs, messages));
      return { burst: result, rssMib, seen };
    });
  });
}

/** Ratios are taken within a round, since the machine changes. */
function figuresOf(rounds: readonly Round[]): Figure[] {
  const percent = (i: 1 | 2, read: (burst: Burst) => number) =>
    100 * median(rounds.map((turns) => read(turns[i].burst) / read(turns[0].burst)));
  const moreMib = (i: 1 | 2, read: (turn: Turn) => number) =>
    median(rounds.map((turns) => read(turns[i]) - read(turns[0])));
  const perSecond = ({ perSecond }: Burst) => perSecond;
  const cpu = ({ cpuMicros }: Burst) => cpuMicros.contender;
  const peak = ({ burst }: Turn) => burst.rssPeakMib;
  const target = { atMost: UNSEEN_MAX_MIB };
  const seen = rounds.map((turns) => turns[2].seen!);
  const lost = sum(rounds.flatMap((turns) => turns.map(({ burst }) => burst.lost)));
  return [
    share("nobody looks: throughput", percent(1, perSecond), { atLeast: UNSEEN_MIN_PERCENT }),
    share("nobody looks: CPU time of the gateway a message", percent(1, cpu)),
    share(`${VIEWERS} look: throughput`, percent(2, perSecond), { atLeast: SEEN_MIN_PERCENT }),
    share(`${VIEWERS} look: CPU time of the gateway a message`, percent(2, cpu)),
    ...([
      ["nobody looks: more RSS before the first message", moreMib(1, ({ rssMib }) => rssMib)],
      ["nobody looks: more RSS at most", moreMib(1, peak)],
    ] as const).map(([what, value]) => ({ what, value, unit: "MiB", target })),
    { what: `${VIEWERS} look: more RSS at most`, value: moreMib(2, peak), unit: "MiB" },
    { what: "answers", value: sum(seen.map(({ answers }) => answers)), unit: "" },
    { what: "slowest", value: Math.max(...seen.map((one) => one.longestMs)), unit: "ms" },
    { what: "events", value: sum(seen.map(({ events }) => events)), unit: "" },
    {
      what: "not answered",
      value: sum(seen.map(({ failed }) => failed)),
      unit: "requests",
      target: { atMost: 0 },
    },
    { what: "lost", value: lost, unit: "messages", target: { atMost: 0 } },
  ];
}

function share(what: string, value: number, target?: Figure["target"]): Figure {
  return { what: `${what}, of that without it`, value, unit: "%", ...(target && { target }) };
}
