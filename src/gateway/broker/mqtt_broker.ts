/**
 * The connection to the broker: MQTT 5 over mutual TLS, with a session that outlives it.
 *
 * The rules are:
 * - one client object lives as long as one connection; when that ends, a new object is made. So no
 *   acknowledgement, publish or timer of an old connection can reach a new one [MQTT-4.4.0-1];
 * - a message is acknowledged when its owner says so, and only on the connection that brought it;
 *   one that is not will be delivered again;
 * - a publish is acknowledged, refused or unsent when its promise settles; nothing is kept to be
 *   sent later behind the caller's back;
 * - a connection that neither comes up nor goes down within its time is torn down and made anew.
 */

import { Buffer } from "node:buffer";
import { setImmediate } from "node:timers";
import type { ConnectionOptions } from "node:tls";
import { writeToStream } from "mqtt-packet";
import mqtt, { type IClientOptions, type IPublishPacket, type MqttClient } from "mqtt";
import { DATA_TOPIC_FILTER, DROPPED_TOPIC, MARKER_TOPIC } from "../../core/topic.ts";
import type { Log } from "../../log/log.ts";
import { TcpStream } from "./tcp_stream.ts";

writeToStream.cacheNumbers = false; // a Buffer for each of 65,536 numbers would take 20 MB

/** How long the broker keeps the session of a gateway that is away: for ever (MQTT 5 §3.1.2.11.2). */
export const SESSION_EXPIRY_SECONDS = 0xffff_ffff;

/** Un-acknowledged messages that the broker may have on the way to us (Receive Maximum). */
const RECEIVE_MAXIMUM = 256;
const CONNECT_TIMEOUT_MS = 10_000;
const RECONNECT_FIRST_MS = 100;
const RECONNECT_LONGEST_MS = 5_000;
const CLOSE_TIMEOUT_MS = 1_000;
const PUBLISH_TIMEOUT_MS = 10_000;
const PUBLISH_WATCH_MS = 500;
/** rh 2: no retained messages at subscribe; rap: see the retain flag as it was published. */
const SUBSCRIPTIONS = {
  [DATA_TOPIC_FILTER]: { qos: 1, rh: 2, rap: true },
  [MARKER_TOPIC]: { qos: 1, rh: 2 },
  // The broker keeps its counters as retained messages: the last one tells of drops while away.
  [DROPPED_TOPIC]: { qos: 0, rh: 0 },
} as const;
/** MQTT 5 §3.4.2.1: nobody is subscribed. */
const NO_MATCHING_SUBSCRIBERS = 0x10;

/** Where the broker is and who we are; certificates and key as PEM text. */
export interface BrokerAddress {
  readonly host: string;
  readonly port: number;
  readonly clientId: string;
  readonly keepaliveSeconds: number;
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

/** A message from the broker that has not been acknowledged yet. */
export interface InboundMessage {
  readonly topic: string;
  readonly bytes: Uint8Array;
  readonly retained: boolean;
  /** QoS 1: the broker keeps it until it is acknowledged, and brings it again after a reconnect. */
  readonly needsAck: boolean;
  /** The broker's DUP flag. */
  readonly redelivered: boolean;
  /** Tells the broker that the message is safe; nothing happens where its connection is gone. */
  acknowledge(): void;
}

/** What became of a publish. */
export type Published =
  | { readonly kind: "acknowledged"; readonly subscribers: boolean }
  | { readonly kind: "refused"; readonly reason: string }
  | { readonly kind: "unsent"; readonly reason: string };

/** MQTT 5 properties that go with a publish. */
export interface PublishProperties {
  readonly messageExpiryInterval?: number;
  readonly correlationData?: Uint8Array;
  readonly userProperties?: Readonly<Record<string, string>>;
}

/** Who is told what. */
export interface BrokerEvents {
  onMessage(arrival: InboundMessage): void;
  /** On a new connection the broker is about to bring again what was not acknowledged. */
  onSessionPresent(): void;
  /** The broker's count of dropped messages since its own start. */
  onDropCount(count: number): void;
  /** Connected and subscribed: messages flow. */
  onConnected(): void;
  onDisconnected(): void;
}

/** A publish under way. */
interface Waiting {
  /** When it was sent; `performance.now()`. */
  readonly sinceMs: number;
  settle(published: Published): void;
}

/** The link to the broker, which is made again for as long as it is open. */
export class MqttBroker {
  readonly #address: BrokerAddress;
  readonly #events: BrokerEvents;
  readonly #log: Log;
  #client: MqttClient | undefined;
  #subscribed = false;
  #open = false;
  #failures = 0;
  #lastFault = "";
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Publishes that wait for their acknowledgement, the oldest first. */
  readonly #waiting = new Set<Waiting>();
  #watch: ReturnType<typeof setInterval> | undefined;
  /** Tells whoever waits for a connection. */
  readonly #connects = new Set<() => void>();

  constructor(address: BrokerAddress, events: BrokerEvents, options: { log: Log }) {
    this.#address = address;
    this.#events = events;
    this.#log = options.log;
  }

  /** True while connected and subscribed. */
  get connected(): boolean {
    return this.#subscribed;
  }

  /** Starts connecting, and goes on until `close`. */
  open(): void {
    this.#open = true;
    this.#connect();
  }

  /** Publishes with QoS 1. */
  publish(topic: string, message: Uint8Array, properties: PublishProperties): Promise<Published> {
    const client = this.#client;
    if (!client || !this.#subscribed) {
      return Promise.resolve({ kind: "unsent", reason: "the broker is not connected" });
    }
    return new Promise((resolve) => {
      const waiting: Waiting = {
        sinceMs: performance.now(),
        settle: (published) => {
          this.#waiting.delete(waiting);
          resolve(published);
        },
      };
      this.#waiting.add(waiting);
      client.publish(topic, asBuffer(message), {
        qos: 1,
        properties: propertiesOf(properties),
      }, (error) => waiting.settle(outcomeOf(error, lastPubackReason(client))));
    });
  }

  /** Resolves at the next connect, at `stop` or at `close`: true where messages flow. */
  async nextConnect(stop: AbortSignal): Promise<boolean> {
    if (stop.aborted) return false;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#connects.add(resolve);
    stop.addEventListener("abort", () => resolve());
    await promise;
    this.#connects.delete(resolve);
    return this.#subscribed;
  }

  /** Disconnects; the session stays with the broker. */
  async close(): Promise<void> {
    this.#open = false;
    for (const resolve of this.#connects) resolve();
    clearTimeout(this.#timer);
    const client = this.#client;
    if (!client) return;
    this.#dropped(client);
    // A broker that does not answer must not hold up the stop.
    const timer = setTimeout(() => client.stream.destroy(), CLOSE_TIMEOUT_MS);
    client.outgoing = {}; // what is not acknowledged by now was settled as unsent
    await client.endAsync(!client.connected).catch(() => {});
    clearTimeout(timer);
  }

  #connect(): void {
    const client = mqtt.connect(clientOptions(this.#address));
    this.#client = client;
    takeOverSending(client);
    this.#timer = setTimeout(() => this.#again(client), 2 * CONNECT_TIMEOUT_MS);
    client.on("packetreceive", (packet) => {
      if (this.#client !== client || packet.cmd !== "connack") return;
      if (packet.sessionPresent) this.#events.onSessionPresent();
    });
    client.on("message", (_topic, _payload, packet) => this.#arrived(client, packet));
    client.on("connect", () => this.#subscribe(client));
    client.on("error", (error) => this.#fault(client, error));
    client.on("disconnect", (packet) => {
      this.#fault(
        client,
        new Error(`the broker ended the connection, reason ${packet.reasonCode}`),
      );
    });
    client.on("close", () => this.#again(client));
  }

  async #subscribe(client: MqttClient): Promise<void> {
    try {
      await client.subscribeAsync(SUBSCRIPTIONS);
    } catch (error) {
      this.#fault(client, error as Error);
      return void client.end(true);
    }
    if (this.#client !== client || !this.#open) return;
    clearTimeout(this.#timer);
    this.#failures = 0;
    this.#lastFault = "";
    this.#subscribed = true;
    this.#watch = setInterval(() => this.#endSilent(client), PUBLISH_WATCH_MS);
    this.#log("info", "broker_connected", { message: "Connected to the broker" });
    this.#events.onConnected();
    for (const resolve of this.#connects) resolve();
  }

  /** Ends a connection on which the broker leaves a publish without its acknowledgement. */
  #endSilent(client: MqttClient): void {
    const [oldest] = this.#waiting;
    if (oldest === undefined || performance.now() - oldest.sinceMs < PUBLISH_TIMEOUT_MS) return;
    oldest.settle({ kind: "unsent", reason: "the broker did not acknowledge in time" });
    client.end(true);
  }

  #arrived(client: MqttClient, packet: IPublishPacket): void {
    if (this.#client !== client || !this.#open) return;
    if (packet.topic === DROPPED_TOPIC) {
      return this.#events.onDropCount(Number(packet.payload.toString()) || 0);
    }
    const { messageId } = packet;
    this.#events.onMessage({
      topic: packet.topic,
      bytes: packet.payload as Uint8Array,
      retained: packet.retain,
      needsAck: packet.qos > 0,
      redelivered: packet.dup,
      acknowledge: () => {
        if (packet.qos > 0 && this.#client === client) sendAcknowledgement(client, messageId!);
      },
    });
  }

  /** Says once what keeps the link down. */
  #fault(client: MqttClient, error: Error): void {
    if (this.#client !== client || !this.#open) return;
    const reason = error.message || (error as { code?: string }).code || error.name;
    if (reason === this.#lastFault) return;
    this.#lastFault = reason;
    const message =
      `Cannot reach the broker at ${this.#address.host}:${this.#address.port}: ${reason}`;
    this.#log("error", "broker_fault", { message });
  }

  /** A connection has ended, or never came up: make the next one after a wait. */
  #again(client: MqttClient): void {
    if (this.#client !== client || !this.#open) return;
    this.#dropped(client);
    client.end(true);
    const delayMs = Math.min(RECONNECT_LONGEST_MS, RECONNECT_FIRST_MS * 2 ** this.#failures++);
    this.#timer = setTimeout(() => this.#connect(), delayMs);
  }

  #dropped(client: MqttClient): void {
    clearTimeout(this.#timer);
    clearInterval(this.#watch);
    this.#client = undefined;
    client.on("error", () => {}); // an error that comes after the end is nobody's
    for (const { settle } of [...this.#waiting]) {
      settle({ kind: "unsent", reason: "the connection to the broker was lost" });
    }
    if (!this.#subscribed) return;
    this.#subscribed = false;
    this.#log("warning", "broker_disconnected", { message: "Disconnected from the broker" });
    this.#events.onDisconnected();
  }
}

function clientOptions(address: BrokerAddress): IClientOptions & ConnectionOptions {
  return {
    protocol: "mqtts",
    host: address.host,
    port: address.port,
    socket: new TcpStream({ ...address, timeoutMs: CONNECT_TIMEOUT_MS }),
    ca: address.ca,
    cert: address.certificate,
    key: address.key,
    protocolVersion: 5,
    clientId: address.clientId,
    clean: false,
    keepalive: address.keepaliveSeconds,
    connectTimeout: CONNECT_TIMEOUT_MS,
    reconnectPeriod: 0,
    resubscribe: false,
    timerVariant: "native",
    reschedulePings: false, // a ping too many is cheaper than a timer set anew with every packet
    outgoingStore: new NothingStored(),
    log: () => {}, // its debug output costs several microseconds a packet even while it is off
    properties: {
      sessionExpiryInterval: SESSION_EXPIRY_SECONDS,
      receiveMaximum: RECEIVE_MAXIMUM,
    },
  };
}

interface Packet {
  readonly cmd: string;
  readonly messageId?: number;
  readonly reasonCode?: number;
}

/**
 * A publish ends with its connection, so there is nothing that MQTT.js has to keep of it; its own
 * store throws where an acknowledgement comes after the end.
 */
class NothingStored extends mqtt.Store {
  override del(packet: Parameters<mqtt.Store["del"]>[0], done: mqtt.PacketCallback): this {
    done(undefined, packet as mqtt.Packet);
    return this;
  }
}

/** The one private method of the pinned MQTT.js that is used: tests/edge/mqtt_test.ts guards it. */
interface PacketSender {
  _sendPacket(packet: Packet, done?: () => void, stored?: () => void, unstored?: boolean): void;
}

const PUBACK_REASON = new WeakMap<MqttClient, number>();

/**
 * MQTT.js acknowledges each message as soon as it was handed over, one after another. Its own
 * acknowledgements are swallowed here, so that ours can wait for the commit without anything else,
 * keepalive among it, waiting too. And it copies each publish into its store, which is left out.
 */
function takeOverSending(client: MqttClient): void {
  const sender = client as unknown as PacketSender;
  const send = sender._sendPacket.bind(client);
  sender._sendPacket = (packet, done, stored) => {
    if (packet.cmd === "puback") return done?.();
    joinWrites(client);
    send(packet, done, stored, true);
  };
  client.on("packetreceive", (packet) => {
    if (packet.cmd === "puback") PUBACK_REASON.set(client, packet.reasonCode ?? 0);
  });
}

/** A PUBACK that says success needs no more than these four bytes [MQTT 5 §3.4.2.1]. */
function sendAcknowledgement(client: MqttClient, messageId: number): void {
  if (!client.connected) return;
  joinWrites(client);
  client.stream.write(Buffer.of(0x40, 2, messageId >> 8, messageId & 0xff));
}

const JOINED = new WeakSet<MqttClient>();

/** What is sent in one turn of the event loop goes out as one write. */
function joinWrites(client: MqttClient): void {
  if (JOINED.has(client)) return;
  JOINED.add(client);
  const { stream } = client;
  stream.cork();
  setImmediate(() => {
    JOINED.delete(client);
    stream.uncork();
  });
}

/** The reason code of the PUBACK that is being handled: MQTT.js does not pass it on. */
function lastPubackReason(client: MqttClient): number {
  return PUBACK_REASON.get(client) ?? 0;
}

function outcomeOf(error: Error | null | undefined, pubackReason: number): Published {
  if (!error) {
    return { kind: "acknowledged", subscribers: pubackReason !== NO_MATCHING_SUBSCRIBERS };
  }
  const { code } = error as { code?: unknown };
  return { kind: typeof code === "number" ? "refused" : "unsent", reason: error.message };
}

function propertiesOf(properties: PublishProperties) {
  const { messageExpiryInterval, correlationData, userProperties } = properties;
  return {
    ...(messageExpiryInterval !== undefined && { messageExpiryInterval }),
    ...(correlationData !== undefined && { correlationData: asBuffer(correlationData) }),
    ...(userProperties !== undefined && { userProperties: { ...userProperties } }),
  };
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
