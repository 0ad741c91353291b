/** Devices that send at a steady pace, and how long each waits for its answers. */

import { Buffer } from "node:buffer";
import mqtt, { type MqttClient } from "mqtt";
import { dataTopic, responseTopic } from "../../src/core/topic.ts";
import { poll } from "../../src/time/poll.ts";
import { deviceFolderAt } from "../../src/site/layout.ts";
import type { BenchDevice, BenchSite } from "./bench_site.ts";
import { signMessages } from "./signed_messages.ts";

const ANSWERS_TIMEOUT_MS = 30_000;

/** How many send how much. */
export interface Flow {
  /** The first so many devices of the site. */
  readonly devices: number;
  readonly perSecond: number;
  readonly seconds: number;
}

/** One message and what came of it. */
export interface Exchange {
  /** When it was published, Unix milliseconds. */
  readonly sentMs: number;
  /** From the publish to the backend's answer at the device; undefined if none came. */
  readonly roundTripMs: number | undefined;
}

/**
 * Sends a steady flow of messages, each device over its own connection, and waits for the answers.
 * Messages leave at their time whether or not earlier ones are answered.
 */
export async function sendSteadily(site: BenchSite, flow: Flow): Promise<Exchange[]> {
  const each = Math.ceil(flow.perSecond * flow.seconds / flow.devices);
  const senders = await Promise.all(
    site.devices.slice(0, flow.devices).map((device) =>
      Sender.connect(device, { port: site.ports.mqtt, count: each })
    ),
  );
  const startMs = performance.now();
  for (let i = 0; i < each * senders.length; i++) {
    await sleepUntil(startMs + i * 1000 / flow.perSecond);
    senders[i % senders.length]!.sendNext();
  }
  await Promise.all(senders.map((sender) => sender.close()));
  return senders.flatMap((sender) => sender.exchanges());
}

/** One device's connection. */
class Sender {
  readonly #deviceId: string;
  readonly #client: MqttClient;
  readonly #messages: { readonly messageId: string; readonly text: string }[];
  readonly #sentMs = new Map<string, number>();
  readonly #answeredMs = new Map<string, number>();
  #next = 0;

  private constructor(
    deviceId: string,
    client: MqttClient,
    messages: { readonly messageId: string; readonly text: string }[],
  ) {
    this.#deviceId = deviceId;
    this.#client = client;
    this.#messages = messages;
    client.on("message", (_topic, _payload, { properties }) => {
      this.#answeredMs.set(String(properties?.correlationData), performance.now());
    });
  }

  static async connect(
    device: BenchDevice,
    { port, count }: { port: number; count: number },
  ): Promise<Sender> {
    const files = deviceFolderAt(device.folder);
    const client = await mqtt.connectAsync({
      protocol: "mqtts",
      host: "localhost",
      port,
      ca: await Deno.readTextFile(files.ca),
      cert: await Deno.readTextFile(files.certificate),
      key: await Deno.readTextFile(files.key),
      protocolVersion: 5,
      clientId: device.deviceId,
      reconnectPeriod: 0,
      timerVariant: "native",
    });
    // Without it a round trip waits 40 ms for Nagle and the delayed ACK to meet.
    (client.stream as unknown as { setNoDelay(on: boolean): void }).setNoDelay(true);
    await client.subscribeAsync(responseTopic(device.deviceId), { qos: 1 });
    return new Sender(device.deviceId, client, await signMessages(device, count));
  }

  sendNext(): void {
    const { messageId, text } = this.#messages[this.#next++]!;
    this.#sentMs.set(messageId, performance.now());
    this.#client.publish(dataTopic(this.#deviceId), Buffer.from(text), { qos: 1 });
  }

  /** Waits for the answers that are still to come, then disconnects. */
  async close(): Promise<void> {
    const answered = () => this.#answeredMs.size >= this.#messages.length;
    await poll("the answers", answered, { timeoutMs: ANSWERS_TIMEOUT_MS }).catch(() => {});
    await this.#client.endAsync();
  }

  exchanges(): Exchange[] {
    return this.#messages.map(({ messageId }) => {
      const answeredMs = this.#answeredMs.get(messageId);
      const sentMs = this.#sentMs.get(messageId)!;
      const roundTripMs = answeredMs === undefined ? undefined : answeredMs - sentMs;
      return { sentMs: performance.timeOrigin + sentMs, roundTripMs };
    });
  }
}

async function sleepUntil(atMs: number): Promise<void> {
  const waitMs = atMs - performance.now();
  if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
}
