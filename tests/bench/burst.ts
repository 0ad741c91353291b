/** One burst of messages through a contender, and what it cost whom. */

import type { BenchBackend } from "./bench_backend.ts";
import type { BenchSite } from "./bench_site.ts";
import type { Rate } from "./comparison.ts";
import { type Contender, gateway, type RunningContender, withContender } from "./contender.ts";
import { type ProcessStats, processStats } from "./process_stats.ts";
import { type MessageFiles, publishAll, writeMessages } from "./publishers.ts";
import { sum } from "./statistics.ts";
import { readable } from "./table.ts";

/** The backend has all that it will get when, everything published, nothing came for so long. */
const QUIET_MS = 30_000;
const POLL_EVERY_MS = 20;
/** The burst to warm up is so much smaller. */
const WARM_UP_SHARE = 20;
const LAST_WORDS_LENGTH = 1_000;
const TIMEOUT_MS = 600_000;

/** CPU time for each message that came through, microseconds; of all that there are of a kind. */
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
  /** The contender's; of several, the largest. */
  readonly rssPeakMib: number;
  /** Of the machine, over the last minute. */
  readonly load: number;
}

/** A site, and the contender that runs on it. */
export interface SiteRun {
  readonly site: BenchSite;
  readonly running: RunningContender;
}

/** A burst of so many messages on a site, after a small one to warm up. */
export async function burstOnSite(
  site: BenchSite,
  contender: Contender,
  messages: number,
): Promise<Burst> {
  return await withContender(contender, site, async (running) => {
    await warmUp([{ site, running }], messages);
    return await burst([{ site, running }], messages);
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

/** A small burst before one of so many messages. */
export async function warmUp(runs: readonly SiteRun[], messages: number): Promise<void> {
  await send(runs, Math.ceil(messages / WARM_UP_SHARE));
}

/** A burst of so many messages, of which each site gets its share; they have one backend. */
export async function burst(runs: readonly SiteRun[], messages: number): Promise<Burst> {
  const result = await send(runs, messages);
  console.error(`${result.contender}: ${readable(result.perSecond)} messages/s`);
  if (result.lost > 0) {
    console.error(`${result.lost} lost; ${runs.map(lastWords).join("\n")}`);
  }
  return result;
}

/** Why something may be lost: what the contender says, and what the broker says of it. */
function lastWords({ site: { broker }, running: { child } }: SiteRun): string {
  const words = (child.stdout + child.stderr).slice(-LAST_WORDS_LENGTH);
  const ofBroker = broker.log().split("\n").filter((line) => /^\d+: Client (?!bench_)/.test(line));
  return `it ${child.running ? "runs" : "has ended"}: ${words}\n${ofBroker.join("\n")}`;
}

async function send(runs: readonly SiteRun[], count: number): Promise<Burst> {
  const { site: { backend }, running: { contender } } = runs[0]!;
  const share = Math.ceil(count / runs.length);
  const all = await Promise.all(runs.map(({ site }) => writeMessages(site, share)));
  const messages = sum(all.map((files) => files.count));
  const kinds = [
    runs.map(({ running }) => running.pid),
    runs.map(({ site }) => site.broker.pid),
    [backend.pid],
  ];
  const readingsBefore = await backend.readings();
  const before = await statsOf(kinds);
  const publishing = Promise.all(all.map((files, i) => publishAll(runs[i]!.site, files)));
  const arriving = arrivals(backend, { from: readingsBefore, count: messages, publishing });
  const [published, arrived] = await Promise.all([publishing, arriving]);
  const after = await statsOf(kinds);
  const micros = (i: number, messages: number) =>
    (cpuMsOf(after[i]!) - cpuMsOf(before[i]!)) * 1000 / Math.max(1, messages);
  return {
    contender: contender.name,
    messages,
    lost: await countLost(backend, contender, { all, messages, arrived: arrived.count }),
    perSecond: arrived.perSecond,
    offeredPerSecond: messages / Math.max(...published.map(({ seconds }) => seconds)),
    cpuMicros: {
      contender: micros(0, arrived.count),
      broker: micros(1, messages),
      backend: micros(2, arrived.count),
      publishers: sum(published.map(({ cpuMs }) => cpuMs)) * 1000 / messages,
    },
    rssPeakMib: Math.max(...after[0]!.map(({ rssPeakMib }) => rssPeakMib)),
    load: Deno.loadavg()[0]!,
  };
}

/** Of each kind of processes. */
async function statsOf(kinds: readonly (readonly number[])[]): Promise<ProcessStats[][]> {
  const all = await processStats(...kinds.flat());
  return kinds.map((pids) => all.splice(0, pids.length));
}

function cpuMsOf(stats: readonly ProcessStats[]): number {
  return sum(stats.map(({ cpuMs }) => cpuMs));
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
  { namesMessages }: Contender,
  { all, messages, arrived }: {
    all: readonly MessageFiles[];
    messages: number;
    arrived: number;
  },
): Promise<number> {
  if (!namesMessages) return Math.max(0, messages - arrived);
  const received = new Set((await backend.received()).map(({ messageId }) => messageId));
  return all.flatMap(({ messageIds }) => messageIds)
    .filter((messageId) => !received.has(messageId)).length;
}
