/**
 * A device's connection to the broker, which is made again for as long as it is open.
 *
 * The rules are:
 * - one client object lives as long as one connection, and each connection has a number;
 * - the session in the broker outlives it, so that an answer finds its device later;
 * - nothing is sent behind its owner's back: what a lost connection took along is the owner's to
 *   send again.
 */

import { Buffer } from "node:buffer";
import mqtt, { type IClientOptions, type MqttClient } from "mqtt";
import { dataTopic, responseTopic } from "../../src/core/topic.ts";
import { deviceFolderAt } from "../../src/site/layout.ts";

const KEEPALIVE_SECONDS = 5;
const CONNECT_TIMEOUT_MS = 5_000;
const RECONNECT_MS = 100;
const SESSION_EXPIRY_SECONDS = 3_600;
/** MQTT 5 §3.4.2.1: nobody is subscribed. */
const NO_MATCHING_SUBSCRIBERS = 0x10;

/** What became of a publish: taken by the broker, for nobody, refused, or lost with its connection. */
export type Fate = "taken" | "for nobody" | "refused" | "gone";

/** Who is told of an answer: the id it is paired with, and its body. */
export type OnAnswer = (messageId: string, body: string) => void;

/** The link of one device. */
export class DeviceLink {
  readonly deviceId: string;
  readonly #options: IClientOptions;
  readonly #onAnswer: OnAnswer;
  #client: MqttClient | undefined;
  /** Counts connections. */
  #connection = 0;
  #subscribed = false;
  #open = true;
  #held = false;
  #pubackReason = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #waiting = new Set<(fate: Fate) => void>();
  readonly #connects = new Set<() => void>();

  private constructor(deviceId: string, options: IClientOptions, onAnswer: OnAnswer) {
    this.deviceId = deviceId;
    this.#options = options;
    this.#onAnswer = onAnswer;
    this.#connect();
  }

  /** Begins to connect as the device whose folder this is. */
  static async open(
    folder: string,
    onAnswer: OnAnswer,
    options: { port: number },
  ): Promise<DeviceLink> {
    const files = deviceFolderAt(folder);
    const deviceId = JSON.parse(await Deno.readTextFile(files.description)).device_id;
    return new DeviceLink(deviceId, {
      protocol: "mqtts",
      host: "localhost",
      port: options.port,
      ca: await Deno.readTextFile(files.ca),
      cert: await Deno.readTextFile(files.certificate),
      key: await Deno.readTextFile(files.key),
      protocolVersion: 5,
      clientId: deviceId,
      clean: false,
      properties: { sessionExpiryInterval: SESSION_EXPIRY_SECONDS },
      keepalive: KEEPALIVE_SECONDS,
      connectTimeout: CONNECT_TIMEOUT_MS,
      reconnectPeriod: 0,
      resubscribe: false,
      timerVariant: "native",
      log: () => {},
    }, onAnswer);
  }

  /** The number of the connection that stands; undefined while there is none. */
  get connection(): number | undefined {
    return this.#subscribed ? this.#connection : undefined;
  }

  /** Resolves with the number of a connection that stands, or undefined once the link is closed. */
  async connected(): Promise<number | undefined> {
    while (this.#open && !this.#subscribed) {
      await new Promise<void>((resolve) => this.#connects.add(resolve));
      this.#connects.clear();
    }
    return this.connection;
  }

  /** Publishes with QoS 1 to the device's data topic; total. */
  publish(message: string): Promise<Fate> {
    const client = this.#client;
    if (!client || !this.#subscribed) return Promise.resolve("gone");
    return new Promise((resolve) => {
      const settle = (fate: Fate) => {
        this.#waiting.delete(settle);
        resolve(fate);
      };
      this.#waiting.add(settle);
      client.publish(dataTopic(this.deviceId), Buffer.from(message), { qos: 1 }, (error) => {
        if (error) return settle(this.#client === client ? "refused" : "gone");
        settle(this.#pubackReason === NO_MATCHING_SUBSCRIBERS ? "for nobody" : "taken");
      });
    });
  }

  /** Breaks the connection off; the next one is made soon. */
  drop(): void {
    if (this.#client) this.#again(this.#client);
  }

  /** Stays away from the broker until `release`. */
  hold(): void {
    this.#held = true;
    this.drop();
  }

  release(): void {
    if (!this.#held) return;
    this.#held = false;
    this.#connect();
  }

  /** Disconnects for good. */
  async close(): Promise<void> {
    this.#open = false;
    const client = this.#client;
    this.#gone();
    this.#tellConnects();
    if (!client) return;
    client.outgoing = {};
    const timer = setTimeout(() => client.stream.destroy(), 1_000);
    await client.endAsync(!client.connected).catch(() => {});
    clearTimeout(timer);
  }

  #connect(): void {
    if (!this.#open || this.#held || this.#client) return;
    // MQTT.js throws where an acknowledgement comes after the end, unless its store stays open.
    const outgoingStore = new mqtt.Store({ clean: false });
    const client = mqtt.connect({ ...this.#options, outgoingStore });
    this.#client = client;
    client.on("connect", () => this.#subscribe(client));
    client.on("message", (_topic, payload, { properties }) => {
      if (this.#client !== client) return;
      this.#onAnswer(properties?.correlationData?.toString() ?? "", payload.toString());
    });
    client.on("packetreceive", (packet) => {
      if (packet.cmd === "puback") this.#pubackReason = packet.reasonCode ?? 0;
    });
    client.on("error", () => {});
    client.on("close", () => this.#again(client));
  }

  async #subscribe(client: MqttClient): Promise<void> {
    // Without it a round trip waits 40 ms for Nagle and the delayed ACK to meet.
    (client.stream as unknown as { setNoDelay(on: boolean): void }).setNoDelay(true);
    try {
      await client.subscribeAsync(responseTopic(this.deviceId), { qos: 1 });
    } catch {
      return this.#again(client);
    }
    if (this.#client !== client) return;
    this.#connection++;
    this.#subscribed = true;
    this.#tellConnects();
  }

  /** A connection is over: make the next one after a wait. */
  #again(client: MqttClient): void {
    if (this.#client !== client) return;
    this.#gone();
    client.end(true);
    this.#timer = setTimeout(() => this.#connect(), RECONNECT_MS);
  }

  #gone(): void {
    clearTimeout(this.#timer);
    this.#client = undefined;
    this.#subscribed = false;
    for (const settle of [...this.#waiting]) settle("gone");
  }

  #tellConnects(): void {
    for (const resolve of this.#connects) resolve();
  }
}
