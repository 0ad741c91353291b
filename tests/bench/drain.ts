/** Draining: what waited on the disk while the backend was away, against the live rate. */

import { until } from "../../src/demo/until.ts";
import { type BenchSite, withBenchSite } from "./bench_site.ts";
import { arrivals, burstOnSite } from "./burst.ts";
import { compare } from "./comparison.ts";
import { gateway, withContender } from "./contender.ts";
import { readMetrics } from "./gateway_metrics.ts";
import { NginxBackend } from "./nginx_backend.ts";
import type { Findings, Part } from "./part.ts";
import { publishAll, writeMessages } from "./publishers.ts";
import type { Scale } from "./scale.ts";
import { readable } from "./table.ts";

const FILL_TIMEOUT_MS = 300_000;
/** Intake pauses at its limit, which is not what is measured; a lane must not sleep for long. */
const SETTINGS = { STORE_MAX_PENDING: "1000000", BACKEND_RETRY_LONGEST: "1s" };

/** The part. */
export const DRAIN: Part = {
  name: "drain",
  purpose: "draining a backlog after an outage of the backend, against the live rate",
  measure,
};

async function measure({ rounds, devices, messages, backlog }: Scale): Promise<Findings> {
  const drained = {
    what: `draining ${readable(backlog)} entries`,
    rate: () => withBenchSite({ devices }, (site) => drainRate(site, backlog)),
  };
  const live = {
    what: "live",
    rate: () =>
      withBenchSite({ devices }, async (site) => {
        const { perSecond } = await burstOnSite(site, gateway(SETTINGS), messages);
        return perSecond;
      }),
  };
  const { figures, rates } = await compare([drained, live], { rounds, atLeast: 0.9 });
  return { figures, data: rates };
}

async function drainRate(site: BenchSite, backlog: number): Promise<number> {
  const { backend, folder } = site;
  return await withContender(gateway(SETTINGS), site, async () => {
    await backend.stop();
    const files = await writeMessages(site, backlog);
    await publishAll(site, files);
    await until("the backlog", async () => {
      return (await readMetrics(site)).get("pending") === files.count;
    }, { timeoutMs: FILL_TIMEOUT_MS });
    const back = await NginxBackend.start(`${folder}/backend-again`, { port: backend.port });
    try {
      const expected = { from: 0, count: files.count, publishing: Promise.resolve() };
      const { count, perSecond } = await arrivals(back, expected);
      if (count < files.count) throw new Error(`${files.count - count} entries were not drained`);
      return perSecond;
    } finally {
      await back.stop();
    }
  });
}
