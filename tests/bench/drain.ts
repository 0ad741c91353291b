/** Draining: what waited on the disk while the backend was away, against the live rate. */

import { poll } from "../../src/time/poll.ts";
import { type BenchSite, withBenchSite } from "./bench_site.ts";
import { arrivals, gatewayRate } from "./burst.ts";
import { compare, type Rate } from "./comparison.ts";
import { gateway, withContender } from "./contender.ts";
import { readMetrics } from "./gateway_metrics.ts";
import { NginxBackend } from "./nginx_backend.ts";
import type { Findings, Part } from "./part.ts";
import { processStats } from "./process_stats.ts";
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
    measure: () => withBenchSite({ devices }, (site) => drainRate(site, backlog)),
  };
  const live = {
    what: "live",
    measure: () =>
      withBenchSite({ devices }, (site) => gatewayRate(site, { messages, settings: SETTINGS })),
  };
  const { figures, rates } = await compare([drained, live], { rounds, atLeast: 0.9 });
  return { figures, data: rates };
}

async function drainRate(site: BenchSite, backlog: number): Promise<Rate> {
  const { backend, folder } = site;
  return await withContender(gateway(SETTINGS), site, async ({ pid }) => {
    await backend.stop();
    const files = await writeMessages(site, backlog);
    await publishAll(site, files);
    await poll("the backlog", async () => {
      return (await readMetrics(site)).get("pending") === files.count;
    }, { timeoutMs: FILL_TIMEOUT_MS });
    const before = (await processStats(pid))[0]!;
    const back = await NginxBackend.start(`${folder}/backend-again`, { port: backend.port });
    try {
      const expected = { from: 0, count: files.count, publishing: Promise.resolve() };
      const { count, perSecond } = await arrivals(back, expected);
      if (count < files.count) throw new Error(`${files.count - count} entries were not drained`);
      const after = (await processStats(pid))[0]!;
      return { perSecond, cpuMicros: (after.cpuMs - before.cpuMs) * 1000 / count };
    } finally {
      await back.stop();
    }
  });
}
