/** Throughput with many ids remembered; and whether forgetting them holds up the intake. */

import { withBenchSite } from "./bench_site.ts";
import { gatewayRate } from "./burst.ts";
import { compare, type Side } from "./comparison.ts";
import { gateway, withContender } from "./contender.ts";
import type { Findings, Part } from "./part.ts";
import type { Scale } from "./scale.ts";
import { quantile } from "./statistics.ts";
import { sendSteadily } from "./steady_flow.ts";
import { countRememberedIds, makeStoreWithIds } from "./store_filling.ts";
import { readable } from "./table.ts";
import { withTemporaryFolder } from "./temporary_folder.ts";

/** Over how long the remembered ids were sent: as long as a message may be out of time. */
const SPAN_SECONDS = 600;
/** The longest tolerance there is: nothing is forgotten meanwhile. */
const NOTHING_DUE = { CHECKS_TOLERANCE: "1h" };
/** How old the newest id is, which makes all of them due under the default tolerance. */
const ALL_DUE_SECONDS = 600;
/** Faster than the flow of the latency part, or a stall could fall between two messages. */
const FLOW_TIMES = 4;
const LONGEST_STALL_MS = 20;

/** Throughput. */
export const REMEMBERED_IDS: Part = {
  name: "ids",
  purpose: "throughput with many ids remembered, against none",
  measure: measureThroughput,
};

/** Forgetting. */
export const PRUNING: Part = {
  name: "pruning",
  purpose: "the longest pause of the intake while ids are forgotten",
  measure: measurePruning,
};

async function measureThroughput(scale: Scale): Promise<Findings> {
  const { rounds, devices, messages, rememberedIds } = scale;
  return await withIds({ scale, newestSeconds: nowSeconds() }, async (store) => {
    const side = (ids: number, store?: string): Side => ({
      what: `${readable(ids)} ids remembered`,
      measure: () =>
        withBenchSite({ devices, store }, async (site) => {
          const rate = await gatewayRate(site, { messages, settings: NOTHING_DUE });
          const kept = countRememberedIds(site.layout.database);
          if (kept < ids + messages) throw new Error(`Only ${kept} ids are remembered`);
          return rate;
        }),
    });
    const sides = [side(rememberedIds, store), side(0)] as const;
    const { figures, rates } = await compare(sides, { rounds, atLeast: 0.9 });
    return { figures, data: rates };
  });
}

async function measurePruning(scale: Scale): Promise<Findings> {
  const newestSeconds = nowSeconds() - ALL_DUE_SECONDS;
  return await withIds({ scale, newestSeconds }, async (store) => {
    const calm = await steadyGaps(scale, undefined);
    const pruning = await steadyGaps(scale, store);
    const longerMs = pruning.longestMs - calm.longestMs;
    return {
      figures: [
        {
          what: "longest gap at the backend, nothing to forget",
          value: calm.longestMs,
          unit: "ms",
        },
        { what: "p99.9 of all gaps", value: calm.p999Ms, unit: "ms" },
        { what: "longest gap while forgetting", value: pruning.longestMs, unit: "ms" },
        { what: "p99.9 of all gaps", value: pruning.p999Ms, unit: "ms" },
        { what: "longer by", value: longerMs, unit: "ms", target: { atMost: LONGEST_STALL_MS } },
        { what: "forgotten meanwhile", value: pruning.forgotten, unit: "ids" },
        {
          what: "not answered",
          value: calm.unanswered + pruning.unanswered,
          unit: "messages",
          target: { atMost: 0 },
        },
      ],
      data: { calm, pruning },
    };
  });
}

interface Gaps {
  readonly longestMs: number;
  readonly p999Ms: number;
  readonly forgotten: number;
  readonly unanswered: number;
}

/** The gaps between requests at the backend under a steady flow. */
async function steadyGaps(scale: Scale, store: string | undefined): Promise<Gaps> {
  const { steadyDevices: devices, steadySeconds: seconds } = scale;
  const flow = { devices, perSecond: scale.steadyPerSecond * FLOW_TIMES, seconds };
  return await withBenchSite({ devices, store }, async (site) => {
    const ids = store === undefined ? 0 : scale.rememberedIds;
    const sent = await withContender(gateway(), site, () => sendSteadily(site, flow));
    const answered = sent.filter(({ roundTripMs }) => roundTripMs !== undefined).length;
    const unanswered = sent.length - answered;
    const arrivedMs = (await site.backend.received()).map(({ atMs }) => atMs);
    // What never came has been waited for until now.
    const firstMs = quantile(sent.map(({ sentMs }) => sentMs), 0);
    const times = [firstMs, ...arrivedMs, ...(unanswered > 0 ? [Date.now()] : [])];
    const gaps = times.slice(1).map((atMs, i) => atMs - times[i]!);
    return {
      longestMs: quantile(gaps, 1),
      p999Ms: quantile(gaps, 0.999),
      unanswered,
      forgotten: ids + answered - countRememberedIds(site.layout.database),
    };
  });
}

/** Runs `work` with a store full of ids, which is made once and gone afterwards. */
async function withIds<T>(
  { scale, newestSeconds }: { scale: Scale; newestSeconds: number },
  work: (store: string) => Promise<T>,
): Promise<T> {
  return await withTemporaryFolder(async (folder) => {
    const { rememberedIds: count, devices } = scale;
    const ids = { count, devices, newestSeconds, spanSeconds: SPAN_SECONDS };
    makeStoreWithIds(`${folder}/ids.db`, ids);
    return await work(`${folder}/ids.db`);
  });
}

function nowSeconds(): number {
  return Math.floor(Date.now() / 1000);
}
