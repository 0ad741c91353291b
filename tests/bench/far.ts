/** A backend that is far away: each answer takes 50 ms, whatever the machine can do. */

import { Database } from "../../src/store/sqlite/database.ts";
import { Outbox } from "../../src/store/sqlite/outbox.ts";
import { poll } from "../../src/time/poll.ts";
import { withBenchSite } from "./bench_site.ts";
import { gateway, withContender } from "./contender.ts";
import type { Figure, Findings, Part } from "./part.ts";
import { processStats } from "./process_stats.ts";
import type { Scale } from "./scale.ts";
import { median } from "./statistics.ts";
import { knownDevice } from "./store_filling.ts";
import { readable } from "./table.ts";

const ANSWER_AFTER_MS = 50;
const TIMEOUT_MS = 300_000;

/** The part. */
export const FAR: Part = {
  name: "far",
  purpose: "a backend that answers after 50 ms, with few devices and with many",
  measure,
};

interface FarRun {
  readonly devices: number;
  readonly perSecond: number;
  readonly cpuMicros: number;
  readonly mostAtOnce: number;
  readonly rssPeakMib: number;
}

async function measure({ rounds, farDevices, farReadings }: Scale): Promise<Findings> {
  const runs: FarRun[][] = [];
  for (let round = 0; round < rounds; round++) {
    for (const [i, devices] of farDevices.entries()) {
      (runs[i] ??= []).push(await deliver(devices, Math.ceil(farReadings[i]! / devices)));
    }
  }
  const targets = [900, 2_300];
  return { figures: runs.flatMap((own, i) => figuresOf(own, targets[i])), data: runs };
}

function figuresOf(runs: readonly FarRun[], atLeast: number | undefined): Figure[] {
  const what = `${readable(runs[0]!.devices)} devices`;
  const of = (read: (run: FarRun) => number) => median(runs.map(read));
  return [
    {
      what,
      value: of(({ perSecond }) => perSecond),
      unit: "readings/s",
      ...(atLeast !== undefined && { target: { atLeast } }),
    },
    { what: `${what}, requests at once`, value: of((run) => run.mostAtOnce), unit: "" },
    { what: `${what}, CPU time`, value: of(({ cpuMicros }) => cpuMicros), unit: "µs a message" },
    { what: `${what}, largest RSS`, value: of(({ rssPeakMib }) => rssPeakMib), unit: "MiB" },
  ];
}

/** Delivers what waits for so many devices, `each` readings of each. */
async function deliver(devices: number, each: number): Promise<FarRun> {
  const count = devices * each;
  const far = new FarBackend();
  try {
    return await withBenchSite({ devices: 0 }, async (site) => {
      fillOutbox(site.layout.database, { devices, each });
      const settings = { BACKEND_URL: far.url };
      return await withContender(gateway(settings), site, async ({ pid }) => {
        await poll("all readings", () => far.answeredAtMs.length >= count, {
          timeoutMs: TIMEOUT_MS,
        });
        const { cpuMs, rssPeakMib } = (await processStats(pid))[0]!;
        return {
          devices,
          perSecond: far.rate(count),
          cpuMicros: cpuMs * 1000 / count,
          mostAtOnce: far.mostAtOnce,
          rssPeakMib,
        };
      });
    });
  } finally {
    await far.stop();
  }
}

/** Answers each reading after a while. */
class FarBackend {
  /** When each was answered, monotonic milliseconds. */
  readonly answeredAtMs: number[] = [];
  mostAtOnce = 0;
  readonly url: string;
  #now = 0;
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  constructor() {
    this.#server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen: () => {} },
      (request) => this.#answer(request),
    );
    this.url = `http://127.0.0.1:${this.#server.addr.port}`;
  }

  async stop(): Promise<void> {
    await this.#server.shutdown();
  }

  /** Readings a second over the second half, when the limit has been found. */
  rate(count: number): number {
    const half = Math.floor(count / 2);
    const startMs = this.answeredAtMs[half - 1]!;
    return (count - half) / ((this.answeredAtMs[count - 1]! - startMs) / 1000);
  }

  async #answer(request: Request): Promise<Response> {
    this.mostAtOnce = Math.max(this.mostAtOnce, ++this.#now);
    await request.bytes();
    await new Promise((resolve) => setTimeout(resolve, ANSWER_AFTER_MS));
    this.#now--;
    this.answeredAtMs.push(performance.now());
    return new Response('{"status":"received"}');
  }
}

/** Entries of many devices, as an earlier run would have left them. */
function fillOutbox(path: string, { devices, each }: { devices: number; each: number }): void {
  const store = new Database(path);
  const outbox = new Outbox(store);
  const payload = new TextEncoder().encode('{"temperature":22.5,"humidity":60}');
  store.transaction(() => {
    for (let i = 0; i < devices * each; i++) {
      outbox.append({
        deviceId: knownDevice(i % devices),
        messageId: crypto.randomUUID(),
        timestamp: String(Math.floor(Date.now() / 1000)),
        acceptedMs: Date.now(),
        payload,
      });
    }
  });
  store.close();
}
