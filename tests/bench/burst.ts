/** One burst of messages through a contender, and what it cost whom. */

import type { BenchBackend } from "./bench_backend.ts";
import type { BenchSite } from "./bench_site.ts";
import type { Rate } from "./comparison.ts";
import { type Contender, gateway, type RunningContender, withContender } from "./contender.ts";
import { processStats } from "./process_stats.ts";
import { readable } from "./table.ts";
import { type MessageFiles, publishAll, writeMessages } from "./publishers.ts";

/** The backend has all that it will get when, everything published, nothing came for so long. */
const QUIET_MS = 30_000;
const POLL_EVERY_MS = 20;
/** The burst to warm up is so much smaller. */
const WARM_UP_SHARE = 20;
const LAST_WORDS_LENGTH = 1_000;
const TIMEOUT_MS = 600_000;

/** CPU time for each message that came through, microseconds. */
export interface CpuMicros {
  readonly contender: number;
  readonly broker: number;
  readonly backend: number;
  readonly publishers: number;
}

/** How a burst went. */
export interface Burst {
  readonly contender: string;
  readonly messages: number;
  readonly lost: number;
  /** Messages a second, from the backend's first reading to its last. */
  readonly perSecond: number;
  /** Messages a second at which the publishers brought them to the broker. */
  readonly offeredPerSecond: number;
  readonly cpuMicros: CpuMicros;
  /** The contender's. */
  readonly rssPeakMib: number;
  /** Of the machine, over the last minute. */
  readonly load: number;
}

/** A burst of so many messages on a site, after a small one to warm up. */
export async function burstOnSite(
  site: BenchSite,
  contender: Contender,
  messages: number,
): Promise<Burst> {
  return await withContender(contender, site, async (running) => {
    await burst(site, running, Math.ceil(messages / WARM_UP_SHARE));
    const result = await burst(site, running, messages);
    console.error(`${contender.name}: ${readable(result.perSecond)} messages/s`);
    if (result.lost > 0) console.error(`${result.lost} lost; ${lastWords(site, running)}`);
    return result;
  });
}

/** The rate of such a burst through this gateway. */
export async function gatewayRate(
  site: BenchSite,
  { messages, settings }: { messages: number; settings?: Readonly<Record<string, string>> },
): Promise<Rate> {
  const { perSecond, cpuMicros } = await burstOnSite(site, gateway(settings), messages);
  return { perSecond, cpuMicros: cpuMicros.contender };
}

/** Why something may be lost: what the contender says, and what the broker says of it. */
function lastWords({ broker }: BenchSite, { child }: RunningContender): string {
  const words = (child.stdout + child.stderr).slice(-LAST_WORDS_LENGTH);
  const ofBroker = broker.log().split("\n").filter((line) => /^\d+: Client (?!bench_)/.test(line));
  return `it ${child.running ? "runs" : "has ended"}: ${words}\n${ofBroker.join("\n")}`;
}

async function burst(
  site: BenchSite,
  running: RunningContender,
  count: number,
): Promise<Burst> {
  const { backend, broker } = site;
  const files = await writeMessages(site, count);
  const pids = [running.pid, broker.pid, backend.pid];
  const readingsBefore = await backend.readings();
  const before = await processStats(...pids);
  const publishing = publishAll(site, files);
  const arriving = arrivals(backend, { from: readingsBefore, count: files.count, publishing });
  const [published, arrived] = await Promise.all([publishing, arriving]);
  const after = await processStats(...pids);
  const micros = (i: number, messages: number) =>
    (after[i]!.cpuMs - before[i]!.cpuMs) * 1000 / Math.max(1, messages);
  return {
    contender: running.contender.name,
    messages: files.count,
    lost: await countLost(backend, running, { files, arrived: arrived.count }),
    perSecond: arrived.perSecond,
    offeredPerSecond: files.count / published.seconds,
    cpuMicros: {
      contender: micros(0, arrived.count),
      broker: micros(1, files.count),
      backend: micros(2, arrived.count),
      publishers: published.cpuMs * 1000 / files.count,
    },
    rssPeakMib: after[0]!.rssPeakMib,
    load: Deno.loadavg()[0]!,
  };
}

/** Readings that have come, and their rate. */
export interface Arrivals {
  readonly count: number;
  readonly perSecond: number;
}

/** Waits until the backend has `count` readings more than `from`, or gets no more. */
export async function arrivals(
  backend: BenchBackend,
  { from, count, publishing }: { from: number; count: number; publishing: Promise<unknown> },
): Promise<Arrivals> {
  const startMs = performance.now();
  let publishedMs = Infinity;
  publishing.then(() => publishedMs = performance.now(), () => {});
  let first: { count: number; atMs: number } | undefined;
  let last = { count: 0, atMs: startMs };
  while (last.count < count && performance.now() - startMs < TIMEOUT_MS) {
    const now = { count: await backend.readings() - from, atMs: performance.now() };
    if (now.count > 0) first ??= now;
    if (now.count > last.count) last = now;
    else if (now.atMs - Math.max(last.atMs, publishedMs) > QUIET_MS) break;
    await new Promise((resolve) => setTimeout(resolve, POLL_EVERY_MS));
  }
  const seconds = (last.atMs - (first?.atMs ?? startMs)) / 1000;
  // A burst that is over between two looks has no rate; only the shortest are.
  const perSecond = seconds === 0 ? 0 : (last.count - first!.count) / seconds;
  return { count: last.count, perSecond };
}

async function countLost(
  backend: BenchBackend,
  { contender }: RunningContender,
  { files, arrived }: { files: MessageFiles; arrived: number },
): Promise<number> {
  if (!contender.namesMessages) return Math.max(0, files.count - arrived);
  const received = new Set((await backend.received()).map(({ messageId }) => messageId));
  const missing = files.messageIds.filter((messageId) => !received.has(messageId));
  return missing.length;
}
