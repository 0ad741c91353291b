/** Latency: from a device's publish to the backend's answer at the device, under a steady flow. */

import { withBenchSite } from "./bench_site.ts";
import { gateway, withContender } from "./contender.ts";
import { diskFigures } from "./disk.ts";
import { histogramQuantile, readMetrics } from "./gateway_metrics.ts";
import type { Figure, Findings, Part } from "./part.ts";
import type { Scale } from "./scale.ts";
import { quantile } from "./statistics.ts";
import { sendSteadily } from "./steady_flow.ts";

const WARM_UP_SECONDS = 2;
const OWN_SHARE = "intake_to_backend_seconds";

/** The part. */
export const LATENCY: Part = {
  name: "latency",
  purpose: "device to backend to device, under a steady flow",
  measure,
};

async function measure(scale: Scale): Promise<Findings> {
  const { steadyDevices: devices, steadyPerSecond: perSecond, steadySeconds } = scale;
  const seconds = Math.min(WARM_UP_SECONDS, steadySeconds);
  return await withBenchSite({ devices }, async (site) => {
    const disk = await diskFigures(site.layout.directory, { perSecond, seconds: steadySeconds });
    return await withContender(gateway(), site, async () => {
      await sendSteadily(site, { devices, perSecond, seconds });
      const before = await readMetrics(site);
      const exchanges = await sendSteadily(site, { devices, perSecond, seconds: steadySeconds });
      const after = await readMetrics(site);
      const answered = exchanges.flatMap(({ roundTripMs }) => roundTripMs ?? []);
      const ownShareMs = (q: number) => histogramQuantile(OWN_SHARE, q, { before, after }) * 1000;
      const figures: Figure[] = [
        { what: "p50", value: quantile(answered, 0.5), unit: "ms", target: { atMost: 3 } },
        { what: "p99", value: quantile(answered, 0.99), unit: "ms", target: { atMost: 15 } },
        { what: "longest", value: quantile(answered, 1), unit: "ms" },
        { what: "gateway's share, p50", value: ownShareMs(0.5), unit: "ms", target: { atMost: 1 } },
        { what: "gateway's share, p99", value: ownShareMs(0.99), unit: "ms" },
        {
          what: "not answered",
          value: exchanges.length - answered.length,
          unit: "messages",
          target: { atMost: 0 },
        },
        ...disk,
      ];
      return { figures, data: { roundTripsMs: answered } };
    });
  });
}
