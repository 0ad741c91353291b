/** Memory: under overload that lasts, and what a thousand slow devices cost. */

import { Buffer } from "node:buffer";
import mqtt from "mqtt";
import { dataTopic } from "../../src/core/topic.ts";
import { freePorts } from "../support/free_ports.ts";
import { poll } from "../../src/time/poll.ts";
import { type BenchSite, withBenchSite } from "./bench_site.ts";
import { gateway, withContender } from "./contender.ts";
import type { Figure, Findings, Part } from "./part.ts";
import { processStats } from "./process_stats.ts";
import { publishAll, writeMessages } from "./publishers.ts";
import type { Scale } from "./scale.ts";
import { signMessages } from "./signed_messages.ts";
import { median } from "./statistics.ts";
import { fillRegistry, knownDevice, knownSecret } from "./store_filling.ts";
import { readable } from "./table.ts";

const MINUTE_MS = 60_000;
const MIB_OF_150_MB = 150 * 1e6 / 2 ** 20;
const MIB_OF_1_MB = 1e6 / 2 ** 20;
/** "Flat": the last fifth of the samples is above the second fifth by no more than this. */
const FLAT_MIB = 5;
const SETTLE_TIMEOUT_MS = 120_000;
const SAMPLES = 20;
/** Small enough for the broker's queue, and for a sample now and then. */
const WAVES_IN_A_BURST = 5;

/** The part under overload. */
export const OVERLOAD: Part = {
  name: "overload",
  purpose: "memory while more comes than can be taken, minute after minute",
  measure: measureOverload,
};

/** The part with slow devices. */
export const GROWTH: Part = {
  name: "growth",
  purpose: "memory that a thousand devices cost, at one message a minute",
  measure: measureGrowth,
};

async function measureOverload(scale: Scale): Promise<Findings> {
  const { devices, overloadMinutes } = scale;
  return await withBenchSite(
    { devices },
    (site) =>
      withContender(gateway(), site, async ({ pid }) => {
        const { sent, samples } = await overload(site, pid, scale);
        const { rssPeakMib } = (await processStats(pid))[0]!;
        const [early, late] = [fifth(samples, 1), fifth(samples, 4)];
        const figures: Figure[] = [
          {
            what: "largest RSS",
            value: rssPeakMib,
            unit: "MiB",
            target: { atMost: MIB_OF_150_MB },
          },
          { what: "RSS in the second fifth", value: early, unit: "MiB" },
          { what: "RSS in the last fifth", value: late, unit: "MiB" },
          { what: "more by", value: late - early, unit: "MiB", target: { atMost: FLAT_MIB } },
          { what: "sent, and none lost", value: sent, unit: "messages" },
          { what: "lasting", value: overloadMinutes, unit: "minutes" },
        ];
        return { figures, data: { samples } };
      }),
  );
}

/** Wave after wave, for so many minutes; RSS after each, MiB. */
async function overload(
  site: BenchSite,
  pid: number,
  { messages, overloadMinutes }: Scale,
): Promise<{ sent: number; samples: number[] }> {
  const samples: number[] = [];
  const endMs = performance.now() + overloadMinutes * MINUTE_MS;
  let sent = 0;
  do {
    sent += await publishWave(site, { count: messages / WAVES_IN_A_BURST, sent });
    samples.push((await processStats(pid))[0]!.rssMib);
  } while (performance.now() < endMs);
  await allArrived(site, sent);
  return { sent, samples };
}

/** The median of one fifth of the samples. */
function fifth(samples: readonly number[], i: number): number {
  const size = samples.length / 5;
  return median(samples.slice(Math.floor(i * size), Math.floor(i * size) + Math.ceil(size)));
}

/** Signs and publishes a wave while the gateway still works on the one before. */
async function publishWave(
  site: BenchSite,
  { count, sent }: { count: number; sent: number },
): Promise<number> {
  const files = await writeMessages(site, count);
  await poll("room for the next wave", async () => {
    return sent - await site.backend.readings() < count;
  }, { timeoutMs: SETTLE_TIMEOUT_MS });
  await publishAll(site, files);
  return files.count;
}

async function allArrived({ backend }: BenchSite, sent: number): Promise<void> {
  const arrived = async () => await backend.readings() >= sent;
  await poll(`the backend to have ${sent} messages`, arrived, { timeoutMs: SETTLE_TIMEOUT_MS });
}

/**
 * The target is for what devices cost beside many others: few of them send so little that the first
 * thousands bring the memory that any traffic takes.
 */
async function measureGrowth(scale: Scale): Promise<Findings> {
  const [few, many, more] = scale.slowDevices;
  const samples = new Map<number, number[]>();
  for (const devices of scale.slowDevices) samples.set(devices, await rssWith(devices, scale));
  const mib = (devices: number) => median(samples.get(devices)!);
  const perThousand = (from: number, to: number): Figure => ({
    what: `for each 1,000 more from ${readable(from)} to ${readable(to)}`,
    value: (mib(to) - mib(from)) / ((to - from) / 1000),
    unit: "MiB",
  });
  return {
    figures: [
      ...scale.slowDevices.map((devices) => ({
        what: `${readable(devices)} devices`,
        value: mib(devices),
        unit: "MiB",
      })),
      perThousand(few, many),
      { ...perThousand(many, more), target: { atMost: MIB_OF_1_MB } },
    ],
    data: Object.fromEntries(samples),
  };
}

/** The gateway's RSS over the last third of so many minutes with so many devices. */
async function rssWith(devices: number, { slowMinutes }: Scale): Promise<number[]> {
  const port = freePorts(1)[0]!;
  // One client speaks for all devices: to the gateway, identity is the topic.
  const brokerLines = `listener ${port} 127.0.0.1\nallow_anonymous true\n`;
  return await withBenchSite({ devices: 0, brokerLines }, async (site) => {
    fillRegistry(site.layout.database, devices);
    return await withContender(gateway(), site, async ({ pid }) => {
      let sent = await feed(port, { devices, first: 0, minutes: slowMinutes * 2 / 3 });
      const samples: number[] = [];
      for (let i = 0; i < SAMPLES; i++) {
        const minutes = slowMinutes / 3 / SAMPLES;
        sent += await feed(port, { devices, first: sent, minutes });
        samples.push((await processStats(pid))[0]!.rssMib);
      }
      await allArrived(site, sent);
      return samples;
    });
  });
}

/** Sends a message a minute for each device, from the `first` on in turn; returns how many. */
async function feed(
  port: number,
  { devices, first, minutes }: { devices: number; first: number; minutes: number },
): Promise<number> {
  const client = await mqtt.connectAsync({ host: "127.0.0.1", port, timerVariant: "native" });
  const everyMs = MINUTE_MS / devices;
  const startMs = performance.now();
  const count = Math.ceil(minutes * devices);
  for (let i = 0; i < count; i++) {
    const waitMs = startMs + i * everyMs - performance.now();
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    const number = (first + i) % devices;
    const signer = { deviceId: knownDevice(number), secret: knownSecret(number) };
    const [message] = await signMessages(signer, 1);
    client.publish(dataTopic(signer.deviceId), Buffer.from(message!.text), { qos: 1 });
  }
  await client.endAsync();
  return count;
}
