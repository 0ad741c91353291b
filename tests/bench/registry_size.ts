/** Throughput of the same devices with many more in the registry. */

import { type BenchSite, withBenchSite } from "./bench_site.ts";
import { burstOnSite } from "./burst.ts";
import { compare, type Side } from "./comparison.ts";
import { gateway } from "./contender.ts";
import type { Findings, Part } from "./part.ts";
import type { Scale } from "./scale.ts";
import { fillRegistry } from "./store_filling.ts";
import { readable } from "./table.ts";

/** The part. */
export const REGISTRY_SIZE: Part = {
  name: "devices",
  purpose: "throughput with many devices registered, against few",
  measure,
};

async function measure({ rounds, devices, messages, registered }: Scale): Promise<Findings> {
  const side = (extra: number): Side => ({
    what: `${readable(devices + extra)} devices registered`,
    rate: () => withBenchSite({ devices }, (site) => rateWith(site, { extra, messages })),
  });
  const sides = [side(registered - devices), side(0)] as const;
  const { figures, rates } = await compare(sides, { rounds, atLeast: 0.9 });
  return { figures, data: rates };
}

async function rateWith(
  site: BenchSite,
  { extra, messages }: { extra: number; messages: number },
): Promise<number> {
  fillRegistry(site.layout.database, extra);
  const { perSecond } = await burstOnSite(site, gateway(), messages);
  return perSecond;
}
