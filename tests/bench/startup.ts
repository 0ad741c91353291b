/** Start: from the start of the process until messages flow. */

import { type BenchSiteOptions, withBenchSite } from "./bench_site.ts";
import { gateway, withContender } from "./contender.ts";
import type { Findings, Part } from "./part.ts";
import type { Scale } from "./scale.ts";
import { median } from "./statistics.ts";
import { fillRegistry, makeStoreWithIds } from "./store_filling.ts";
import { readable } from "./table.ts";
import { withTemporaryFolder } from "./temporary_folder.ts";

const TARGET_MS = 500;

/** The part. */
export const STARTUP: Part = {
  name: "start",
  purpose: "from the start of the process to `ready`, with many devices and ids",
  measure,
};

async function measure(scale: Scale): Promise<Findings> {
  const { registered, rememberedAtStart: count, starts } = scale;
  return await withTemporaryFolder(async (folder) => {
    const store = `${folder}/full.db`;
    const newestSeconds = Math.floor(Date.now() / 1000);
    makeStoreWithIds(store, { count, devices: registered, newestSeconds, spanSeconds: 300 });
    fillRegistry(store, registered);
    const full = await startTimes({ devices: 1, store }, starts);
    const empty = await startTimes({ devices: 1 }, starts);
    const what = `${readable(registered)} devices, ${readable(count)} ids`;
    return {
      figures: [
        { what, value: median(full), unit: "ms", target: { atMost: TARGET_MS } },
        { what: "one device, no ids", value: median(empty), unit: "ms" },
      ],
      data: { full, empty },
    };
  });
}

/** The first of several fills the caches and is not counted. */
async function startTimes(options: BenchSiteOptions, starts: number): Promise<number[]> {
  return await withBenchSite(options, async (site) => {
    const times: number[] = [];
    for (let i = 0; i < starts; i++) {
      times.push(
        await withContender(gateway(), site, ({ startMs }) => Promise.resolve(startMs)),
      );
    }
    return starts > 1 ? times.slice(1) : times;
  });
}
