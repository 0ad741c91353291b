/** What a running gateway says of itself at GET /metrics. */

import type { BenchSite } from "./bench_site.ts";

const PREFIX = "secure_iot_gateway_";

/** The samples of one moment, by name and labels without the prefix. */
export type Samples = ReadonlyMap<string, number>;

/** Reads the metrics. */
export async function readMetrics({ layout, ports }: BenchSite): Promise<Samples> {
  const client = Deno.createHttpClient({
    caCerts: [await Deno.readTextFile(layout.gatewayCa.certificate)],
  });
  try {
    const key = (await Deno.readTextFile(layout.apiKey)).trim();
    const headers = { authorization: `Bearer ${key}` };
    const response = await fetch(`https://localhost:${ports.api}/metrics`, { headers, client });
    const text = await response.text();
    if (!response.ok) throw new Error(`GET /metrics: ${response.status} ${text}`);
    return new Map(
      [...text.matchAll(/^(\S+) (\S+)$/gm)].map(([, name = "", value]) => [
        name.replace(PREFIX, ""),
        Number(value),
      ]),
    );
  } finally {
    client.close();
  }
}

/**
 * The quantile of a histogram, by linear interpolation inside a bucket, as Prometheus does it; from
 * what was added between two readings.
 */
export function histogramQuantile(
  name: string,
  q: number,
  { before, after }: { before: Samples; after: Samples },
): number {
  const added = (sample: string) => (after.get(sample) ?? 0) - (before.get(sample) ?? 0);
  const wanted = q * added(`${name}_count`);
  let below = { bound: 0, count: 0 };
  for (const sample of after.keys()) {
    const bound = new RegExp(`^${name}_bucket\\{le="(.+)"\\}$`).exec(sample)?.[1];
    if (bound === undefined) continue;
    const here = { bound: bound === "+Inf" ? Infinity : Number(bound), count: added(sample) };
    if (here.count >= wanted) {
      const share = (wanted - below.count) / (here.count - below.count);
      return below.bound + share * (here.bound - below.bound);
    }
    below = here;
  }
  return Infinity;
}
