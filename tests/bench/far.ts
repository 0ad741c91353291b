/** A backend that is far away: each answer takes 50 ms, whatever the machine can do. */

import { Database } from "../../src/store/sqlite/database.ts";
import { Outbox } from "../../src/store/sqlite/outbox.ts";
import { poll } from "../../src/time/poll.ts";
import { BATCH_SETTINGS } from "./batches.ts";
import { withBenchSite } from "./bench_site.ts";
import { gateway, withContender } from "./contender.ts";
import { ItemBackend } from "./item_backend.ts";
import type { Figure, Findings, Part } from "./part.ts";
import { processStats } from "./process_stats.ts";
import type { Scale } from "./scale.ts";
import { median } from "./statistics.ts";
import { knownDevice } from "./store_filling.ts";
import { readable } from "./table.ts";

const FAR_MS = 50;
const TIMEOUT_MS = 300_000;

/** Readings a second that few devices and many are to have, with one POST each. */
const SINGLE_MIN = [900, 2_300] as const;
/** What batches to a far backend are to have, of those to a near one. */
const FAR_MIN_PERCENT = 90;

/** The part. */
export const FAR: Part = {
  name: "far",
  purpose: "a backend that answers after 50 ms, with few devices and many, single and in batches",
  measure,
};

/** What waits, and how it goes. */
interface Delivery {
  readonly devices: number;
  /** Readings of each device. */
  readonly each: number;
  readonly delayMs: number;
  readonly inBatches: boolean;
}

interface DeliveryRun {
  readonly perSecond: number;
  readonly cpuMicros: number;
  readonly mostAtOnce: number;
  /** Readings in a request, on average. */
  readonly readings: number;
  readonly rssPeakMib: number;
}

/** The three ways for one number of devices, each with a run for every round. */
interface Fleet {
  readonly devices: number;
  readonly single: DeliveryRun[];
  readonly farBatches: DeliveryRun[];
  readonly nearBatches: DeliveryRun[];
}

async function measure({ rounds, ...scale }: Scale): Promise<Findings> {
  const fleets = scale.farDevices.map((devices): Fleet => ({
    devices,
    ...{ single: [], farBatches: [], nearBatches: [] },
  }));
  for (let round = 0; round < rounds; round++) {
    for (const [i, { devices, single, farBatches, nearBatches }] of fleets.entries()) {
      const each = Math.ceil(scale.farReadings[i]! / devices);
      const batched = { devices, each: Math.ceil(scale.farBatched / devices), inBatches: true };
      single.push(await deliver({ devices, each, delayMs: FAR_MS, inBatches: false }));
      farBatches.push(await deliver({ ...batched, delayMs: FAR_MS }));
      nearBatches.push(await deliver({ ...batched, delayMs: 0 }));
    }
  }
  return { figures: fleets.flatMap((fleet, i) => figuresOf(fleet, SINGLE_MIN[i]!)), data: fleets };
}

function figuresOf({ devices, single, ...batches }: Fleet, atLeast: number): Figure[] {
  const what = `${readable(devices)} devices`;
  const { farBatches, nearBatches } = batches;
  const share = median(farBatches.map((far, i) => far.perSecond / nearBatches[i]!.perSecond));
  return [
    { ...rateOf(what, single), target: { atLeast } },
    ...costsOf(what, single),
    rateOf(`${what} in batches`, farBatches),
    ...costsOf(`${what} in batches`, farBatches),
    rateOf(`${what} in batches, near`, nearBatches),
    {
      what: `${what} in batches, of that`,
      value: 100 * share,
      unit: "%",
      target: { atLeast: FAR_MIN_PERCENT },
    },
  ];
}

function rateOf(what: string, runs: readonly DeliveryRun[]): Figure {
  const value = median(runs.map(({ perSecond }) => perSecond));
  return { what, value, unit: "readings/s" };
}

function costsOf(what: string, runs: readonly DeliveryRun[]): Figure[] {
  const of = (read: (run: DeliveryRun) => number) => median(runs.map(read));
  return [
    { what: `${what}, requests at once`, value: of((run) => run.mostAtOnce), unit: "" },
    { what: `${what}, readings in a request`, value: of(({ readings }) => readings), unit: "" },
    { what: `${what}, CPU time`, value: of(({ cpuMicros }) => cpuMicros), unit: "µs a message" },
    { what: `${what}, largest RSS`, value: of(({ rssPeakMib }) => rssPeakMib), unit: "MiB" },
  ];
}

/** Delivers what waits for so many devices, as an earlier run has left it. */
async function deliver(delivery: Delivery): Promise<DeliveryRun> {
  const { devices, each, delayMs, inBatches } = delivery;
  const count = devices * each;
  const backend = await ItemBackend.start({ delayMs });
  const startBackend = () => Promise.resolve(backend);
  return await withBenchSite({ devices: 0, startBackend }, async (site) => {
    fillOutbox(site.layout.database, delivery);
    const contender = gateway(inBatches ? BATCH_SETTINGS : {});
    return await withContender(contender, site, async ({ pid }) => {
      await poll("all readings", async () => await backend.readings() >= count, {
        timeoutMs: TIMEOUT_MS,
      });
      const { cpuMs, rssPeakMib } = (await processStats(pid))[0]!;
      return {
        perSecond: rateOfSecondHalf((await backend.received()).map(({ atMs }) => atMs)),
        cpuMicros: cpuMs * 1000 / count,
        mostAtOnce: await backend.mostAtOnce(),
        readings: count / await backend.requests(),
        rssPeakMib,
      };
    });
  });
}

/** Readings a second over the second half, when the gateway has found how much it may send. */
function rateOfSecondHalf(atMs: readonly number[]): number {
  const half = Math.floor(atMs.length / 2);
  const seconds = (atMs.at(-1)! - atMs[half - 1]!) / 1000;
  return (atMs.length - half) / seconds;
}

/** Entries of many devices, as an earlier run would have left them. */
function fillOutbox(path: string, { devices, each }: Delivery): void {
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
