/**
 * One connection to the broker: MQTT 5 over mutual TLS, with a session that outlives it.
 *
 * The rules are:
 * - it connects once and ends once; no acknowledgement, publish or timer of an old connection can
 *   reach a new one [MQTT-4.4.0-1];
 * - a message is acknowledged when its owner says so, and only on the connection that brought it;
 * - a publish is acknowledged, refused or unsent when its promise settles; nothing is kept to be
 *   sent later without the caller's knowledge;
 * - a connection that does not come up in its time ends, and so does one on which the broker leaves
 *   a publish without its acknowledgement.
 */

import { tlsFault } from "../../core/tls_fault.ts";
import { Buffer } from "node:buffer";
import { setImmediate } from "node:timers";
import type { ConnectionOptions } from "node:tls";
import { writeToStream } from "mqtt-packet";
import mqtt, { type IClientOptions, type IPublishPacket, type MqttClient } from "mqtt";
import type { InboundMessage, Published, PublishProperties } from "../../core/ports.ts";
import {
  ACK_TOPIC_FILTER,
  DATA_TOPIC_FILTER,
  DROPPED_TOPIC,
  MARKER_TOPIC,
} from "../../core/topic.ts";
import { TcpStream } from "./tcp_stream.ts";

writeToStream.cacheNumbers = false; // a Buffer for each of 65,536 numbers would take 20 MB

/** How long the broker keeps the session of a gateway that is away: without end (MQTT 5 §3.1.2.11.2). */
const SESSION_EXPIRY_SECONDS = 0xffff_ffff;

/** Un-acknowledged messages that the broker may have on the way to us (Receive Maximum). */
const RECEIVE_MAXIMUM = 256;
const CONNECT_TIMEOUT_MS = 10_000;
const CLOSE_TIMEOUT_MS = 1_000;
const PUBLISH_TIMEOUT_MS = 10_000;
const PUBLISH_WATCH_MS = 500;
/** rh 2: no retained messages at subscribe; rap: see the retain flag as it was published. */
const SUBSCRIPTIONS = {
  [DATA_TOPIC_FILTER]: { qos: 1, rh: 2, rap: true },
  [ACK_TOPIC_FILTER]: { qos: 1, rh: 2, rap: true },
  [MARKER_TOPIC]: { qos: 1, rh: 2 },
  // The broker keeps its counters as retained messages: the last one tells of drops while away.
  [DROPPED_TOPIC]: { qos: 0, rh: 0 },
} as const;
/** MQTT 5 §3.4.2.1: nobody is subscribed. */
const NO_MATCHING_SUBSCRIBERS = 0x10;

/** MQTT 5 §3.14.2.1: another client has connected with our client id. */
const SESSION_TAKEN_OVER = 0x8e;

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

/** Who is told what; nothing after `ended`. */
interface ConnectionEvents {
  onMessage(message: InboundMessage): void;
  /** The broker has kept our session, and is about to bring again what was not acknowledged. */
  onSessionPresent(): void;
  /** The broker's count of dropped messages since its own start. */
  onDropCount(total: number): void;
  /** Connected and subscribed: messages flow. */
  onSubscribed(): void;
  onFault(reason: string): void;
  /** Another client has connected with our client id; the end follows. */
  onTakenOver(): void;
  /** It has ended, or never came up; told once, and not after `close`. `wasLeft`: by the broker. */
  onEnded(wasLeft: boolean): void;
}

/** A publish that waits for its acknowledgement. */
interface UnacknowledgedPublish {
  /** When it was sent; `performance.now()`. */
  readonly sinceMs: number;
  settle(published: Published): void;
}

interface Packet {
  readonly cmd: string;
  readonly messageId?: number;
  readonly reasonCode?: number;
}

/** The one private method of the pinned MQTT.js that is used: a test of the broker guards it. */
interface PacketSender {
  _sendPacket(packet: Packet, done?: () => void, stored?: () => void, unstored?: boolean): void;
}

/** One connection. */
export class Connection {
  readonly #client: MqttClient;
  readonly #stream: TcpStream;
  readonly #events: ConnectionEvents;
  /** Publishes that wait for their acknowledgement, the oldest first. */
  readonly #unacknowledged = new Set<UnacknowledgedPublish>();
  readonly #connectTimer: ReturnType<typeof setTimeout>;
  #watch: ReturnType<typeof setInterval> | undefined;
  #isSubscribed = false;
  #isOver = false;
  #isCorked = false;
  /** The reason code of the PUBACK that is being handled: MQTT.js does not pass it on. */
  #pubackReason = 0;

  /** Starts connecting at once. */
  constructor(address: BrokerAddress, events: ConnectionEvents) {
    this.#events = events;
    this.#stream = new TcpStream({ ...address, timeoutMs: CONNECT_TIMEOUT_MS });
    const client = mqtt.connect(clientOptions(address, this.#stream));
    this.#client = client;
    this.#takeOverSending();
    this.#connectTimer = setTimeout(() => this.#end(), 2 * CONNECT_TIMEOUT_MS);
    client.on("packetreceive", (packet) => {
      if (packet.cmd === "puback") this.#pubackReason = packet.reasonCode ?? 0;
      if (packet.cmd !== "connack" || this.#isOver) return;
      if (packet.sessionPresent) this.#events.onSessionPresent();
    });
    client.on("message", (_topic, _payload, packet) => this.#take(packet));
    client.on("connect", () => this.#subscribe());
    client.on("error", (error) => this.#fault(error));
    client.on("disconnect", ({ reasonCode }) => {
      if (reasonCode === SESSION_TAKEN_OVER) return this.#isOver || this.#events.onTakenOver();
      this.#fault(new Error(`the broker ended the connection, reason ${reasonCode}`));
    });
    client.on("close", () => this.#end());
  }

  /** True while connected and subscribed. */
  get isSubscribed(): boolean {
    return this.#isSubscribed;
  }

  /** Publishes with QoS 1. */
  publish(topic: string, body: Uint8Array, properties: PublishProperties): Promise<Published> {
    if (!this.#isSubscribed) return Promise.resolve(UNCONNECTED);
    return new Promise((resolve) => {
      const publish: UnacknowledgedPublish = {
        sinceMs: performance.now(),
        settle: (published) => {
          this.#unacknowledged.delete(publish);
          resolve(published);
        },
      };
      this.#unacknowledged.add(publish);
      this.#client.publish(topic, asBuffer(body), {
        qos: 1,
        properties: propertiesOf(properties),
      }, (error) => publish.settle(outcomeOf(error, this.#pubackReason)));
    });
  }

  /** Disconnects with a DISCONNECT; the session stays with the broker. */
  async close(): Promise<void> {
    this.#finish();
    const client = this.#client;
    // A broker that does not answer must not hold up the stop.
    const timer = setTimeout(() => client.stream.destroy(), CLOSE_TIMEOUT_MS);
    client.outgoing = {}; // what is not acknowledged by now was settled as unsent
    await client.endAsync(!client.connected).catch(() => {});
    clearTimeout(timer);
  }

  async #subscribe(): Promise<void> {
    try {
      await this.#client.subscribeAsync(SUBSCRIPTIONS);
    } catch (error) {
      this.#fault(error as Error);
      return void this.#client.end(true);
    }
    if (this.#isOver) return;
    clearTimeout(this.#connectTimer);
    this.#isSubscribed = true;
    this.#watch = setInterval(() => this.#endSilent(), PUBLISH_WATCH_MS);
    this.#events.onSubscribed();
  }

  #endSilent(): void {
    const [oldest] = this.#unacknowledged;
    if (oldest === undefined || performance.now() - oldest.sinceMs < PUBLISH_TIMEOUT_MS) return;
    oldest.settle({ kind: "unacknowledged", reason: "the broker did not acknowledge in time" });
    this.#client.end(true);
  }

  #take(packet: IPublishPacket): void {
    if (this.#isOver) return;
    if (packet.topic === DROPPED_TOPIC) {
      return this.#events.onDropCount(Number(packet.payload.toString()) || 0);
    }
    const needsAck = packet.qos > 0;
    this.#events.onMessage({
      topic: packet.topic,
      bytes: packet.payload as Uint8Array,
      retained: packet.retain,
      needsAck,
      redelivered: packet.dup,
      acknowledge: () => {
        if (needsAck && !this.#isOver) this.#acknowledge(packet.messageId!);
      },
    });
  }

  /** A PUBACK that says success needs no more than these four bytes [MQTT 5 §3.4.2.1]. */
  #acknowledge(messageId: number): void {
    if (!this.#client.connected) return;
    this.#joinWrites();
    this.#client.stream.write(Buffer.of(0x40, 2, messageId >> 8, messageId & 0xff));
  }

  #fault(error: Error): void {
    if (this.#isOver) return;
    const reason = error.message || (error as { code?: string }).code || error.name;
    this.#events.onFault(tlsFault(reason) ?? reason);
  }

  #end(): void {
    if (this.#isOver) return;
    this.#finish();
    this.#client.end(true);
    this.#events.onEnded(this.#stream.wasLeft);
  }

  #finish(): void {
    this.#isOver = true;
    this.#isSubscribed = false;
    clearTimeout(this.#connectTimer);
    clearInterval(this.#watch);
    this.#client.on("error", () => {}); // an error after the end matters to nothing
    for (const { settle } of [...this.#unacknowledged]) {
      settle({ kind: "unacknowledged", reason: "the connection to the broker was lost" });
    }
  }

  /**
   * MQTT.js acknowledges each message as soon as it was handed over, one after another. Its own
   * acknowledgements are swallowed here, so that ours can wait for the commit without anything else,
   * keepalive among it, waiting too. And it copies each publish into its store, which is left out.
   */
  #takeOverSending(): void {
    const sender = this.#client as unknown as PacketSender;
    const send = sender._sendPacket.bind(this.#client);
    sender._sendPacket = (packet, done, stored) => {
      if (packet.cmd === "puback") return done?.();
      this.#joinWrites();
      send(packet, done, stored, true);
    };
  }

  /** What is sent in one turn of the event loop goes out as one write. */
  #joinWrites(): void {
    if (this.#isCorked) return;
    this.#isCorked = true;
    const { stream } = this.#client;
    stream.cork();
    setImmediate(() => {
      this.#isCorked = false;
      stream.uncork();
    });
  }
}

/** What becomes of a publish while nothing is connected. */
export const UNCONNECTED: Published = { kind: "unsent", reason: "the broker is not connected" };

function clientOptions(
  address: BrokerAddress,
  socket: TcpStream,
): IClientOptions & ConnectionOptions {
  return {
    protocol: "mqtts",
    host: address.host,
    port: address.port,
    socket,
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
    reschedulePings: false, // a ping too many is cheaper than a timer set again with every packet
    outgoingStore: new NothingStored(),
    log: () => {}, // its debug output costs several microseconds a packet even while it is off
    properties: {
      sessionExpiryInterval: SESSION_EXPIRY_SECONDS,
      receiveMaximum: RECEIVE_MAXIMUM,
    },
  };
}

/**
 * A publish ends with its connection, so there is nothing that MQTT.js has to keep of it; its own
 * store throws if an acknowledgement comes after the end.
 */
class NothingStored extends mqtt.Store {
  override del(packet: Parameters<mqtt.Store["del"]>[0], done: mqtt.PacketCallback): this {
    done(undefined, packet as mqtt.Packet);
    return this;
  }
}

function outcomeOf(error: Error | null | undefined, pubackReason: number): Published {
  if (!error) {
    return { kind: "acknowledged", subscribers: pubackReason !== NO_MATCHING_SUBSCRIBERS };
  }
  const { code } = error as { code?: unknown };
  const reason = error.message;
  return typeof code === "number"
    ? { kind: "refused", reason, reasonCode: code }
    : { kind: "unacknowledged", reason };
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
