/** Throughput of the same devices with many more in the registry. */

import { withBenchSite } from "./bench_site.ts";
import { gatewayRate } from "./burst.ts";
import { compare, type Side } from "./comparison.ts";
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
    measure: () =>
      withBenchSite({ devices }, async (site) => {
        fillRegistry(site.layout.database, extra);
        return await gatewayRate(site, { messages });
      }),
  });
  const sides = [side(registered - devices), side(0)] as const;
  const { figures, rates } = await compare(sides, { rounds, atLeast: 0.9 });
  return { figures, data: rates };
}
