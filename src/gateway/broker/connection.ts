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

import { Fifo } from "../../core/fifo.ts";
import { tlsFault } from "../../core/tls_fault.ts";
import { isIP } from "node:net";
import { connect as connectTls } from "node:tls";
import { writeToStream } from "mqtt-packet";
import mqtt, { type IClientOptions, type IConnackPacket, type MqttClient } from "mqtt";
import type { InboundMessage, Published, PublishProperties } from "../../core/ports.ts";
import {
  ACK_TOPIC_FILTER,
  DATA_TOPIC_FILTER,
  DROPPED_TOPIC,
  MARKER_TOPIC,
} from "../../core/topic.ts";
import { PacketStream } from "./packet_stream.ts";
import {
  decodePuback,
  decodePublish,
  encodePuback,
  encodePublish,
  isPublishable,
  type OutgoingPublish,
} from "./publish_packet.ts";
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
const REASONS: Readonly<Record<number, string>> = mqtt.ReasonCodes;

/** Packet ids: MQTT.js has the first. */
const SUBSCRIBE_ID = 1;
const PUBLISH_ID_FIRST = 2;
const PUBLISH_ID_MAX = 65_535;
/** MQTT 5 §3.4.2.1: nobody is subscribed. */
const NO_MATCHING_SUBSCRIBERS = 0x10;

/** MQTT 5 §3.14.2.1: larger than the broker's Maximum Packet Size. */
const PACKET_TOO_LARGE = 0x95;

/** MQTT 5 §3.4.2.1: nothing can be published to this topic. */
const TOPIC_NAME_INVALID = 0x90;

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

/** A publish that waits until the broker takes one more. */
interface WaitingPublish {
  readonly message: Omit<OutgoingPublish, "packetId">;
  settle(published: Published): void;
}

/** One connection. */
export class Connection {
  readonly #client: MqttClient;
  readonly #tcp: TcpStream;
  readonly #stream: PacketStream;
  readonly #events: ConnectionEvents;
  /** By packet id: publishes that wait for their acknowledgement, the oldest first. */
  readonly #unacknowledged = new Map<number, UnacknowledgedPublish>();
  readonly #waiting = new Fifo<WaitingPublish>();
  #packetId = PUBLISH_ID_FIRST;
  /** What the broker allows, once it has taken us. */
  #limits = { receiveMaximum: 0, maximumPacketSize: 0 };
  readonly #connectTimer: ReturnType<typeof setTimeout>;
  #watch: ReturnType<typeof setInterval> | undefined;
  #isSubscribed = false;
  #isOver = false;

  /** Starts connecting at once. */
  constructor(address: BrokerAddress, events: ConnectionEvents) {
    this.#events = events;
    const { host, ca, certificate, key } = address;
    this.#tcp = new TcpStream({ ...address, timeoutMs: CONNECT_TIMEOUT_MS });
    const name = isIP(host) === 0 ? { servername: host } : {};
    const secure = connectTls({ socket: this.#tcp, host, ca, cert: certificate, key, ...name });
    this.#stream = new PacketStream(secure, {
      onConnack: (sessionPresent) => {
        if (sessionPresent && !this.#isOver) this.#events.onSessionPresent();
      },
      onPublish: (packet) => this.#take(packet),
      onPuback: (packet) => this.#settle(packet),
      onError: (error) => this.#fault(error),
    });
    const client = new mqtt.MqttClient(() => this.#stream, clientOptions(address));
    this.#client = client;
    this.#connectTimer = setTimeout(() => this.#end(), 2 * CONNECT_TIMEOUT_MS);
    client.on("connect", (packet) => this.#subscribe(packet));
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
    return new Promise((settle) => {
      const waiting = { message: { topic, body, properties }, settle };
      if (this.#unacknowledged.size < this.#limits.receiveMaximum) this.#send(waiting);
      else this.#waiting.push(waiting);
    });
  }

  /** Disconnects with a DISCONNECT; the session stays with the broker. */
  async close(): Promise<void> {
    this.#finish();
    const client = this.#client;
    // A broker that does not answer must not hold up the stop.
    const timer = setTimeout(() => client.stream.destroy(), CLOSE_TIMEOUT_MS);
    client.outgoing = {}; // a subscription under way is not waited for
    await client.endAsync(!client.connected).catch(() => {});
    clearTimeout(timer);
  }

  async #subscribe({ properties }: IConnackPacket): Promise<void> {
    const { receiveMaximum = PUBLISH_ID_MAX, maximumPacketSize = Infinity } = properties ?? {};
    const ids = PUBLISH_ID_MAX - PUBLISH_ID_FIRST + 1;
    this.#limits = { receiveMaximum: Math.min(receiveMaximum, ids), maximumPacketSize };
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
    const [oldest] = this.#unacknowledged.values();
    if (oldest === undefined || performance.now() - oldest.sinceMs < PUBLISH_TIMEOUT_MS) return;
    oldest.settle({ kind: "unacknowledged", reason: "the broker did not acknowledge in time" });
    this.#client.end(true);
  }

  #send({ message, settle }: WaitingPublish): void {
    // What a store has may be anything: of that, nothing may end the connection, or be thrown here.
    if (!isPublishable(message.topic)) {
      const reason = "nothing can be published to its topic";
      return settle({ kind: "refused", reason, reasonCode: TOPIC_NAME_INVALID });
    }
    const packetId = this.#freeId();
    const packet = packetOf({ ...message, packetId });
    if (packet instanceof RangeError) {
      return settle({ kind: "refused", reason: packet.message, reasonCode: PACKET_TOO_LARGE });
    }
    if (packet.length > this.#limits.maximumPacketSize) {
      const reason = `it has ${packet.length} bytes, and the broker takes no more than ` +
        `${this.#limits.maximumPacketSize}`;
      return settle({ kind: "refused", reason, reasonCode: PACKET_TOO_LARGE });
    }
    this.#unacknowledged.set(packetId, { sinceMs: performance.now(), settle });
    this.#stream.send(packet);
  }

  /** One that is not under way; there is one, since the Receive Maximum is no larger. */
  #freeId(): number {
    do {
      this.#packetId = this.#packetId < PUBLISH_ID_MAX ? this.#packetId + 1 : PUBLISH_ID_FIRST;
    } while (this.#unacknowledged.has(this.#packetId));
    return this.#packetId;
  }

  /** An acknowledgement of nothing that is under way is passed over, as MQTT.js does. */
  #settle(packet: Uint8Array): void {
    const { packetId, reasonCode } = decodePuback(packet);
    const publish = this.#unacknowledged.get(packetId);
    this.#unacknowledged.delete(packetId);
    publish?.settle(outcomeOf(reasonCode));
    while (this.#unacknowledged.size < this.#limits.receiveMaximum) {
      const waiting = this.#waiting.shift();
      if (waiting === undefined) return;
      this.#send(waiting);
    }
  }

  #take(packet: Uint8Array): void {
    if (this.#isOver) return;
    const { topic, body, qos, packetId, isRetained, isDuplicate } = decodePublish(packet);
    if (topic === DROPPED_TOPIC) {
      return this.#events.onDropCount(Number(new TextDecoder().decode(body)) || 0);
    }
    const needsAck = qos > 0;
    this.#events.onMessage({
      ...{ topic, bytes: body, needsAck },
      retained: isRetained,
      redelivered: isDuplicate,
      acknowledge: () => {
        if (needsAck && !this.#isOver) this.#stream.send(encodePuback(packetId));
      },
    });
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
    this.#events.onEnded(this.#tcp.wasLeft);
  }

  #finish(): void {
    this.#isOver = true;
    this.#isSubscribed = false;
    clearTimeout(this.#connectTimer);
    clearInterval(this.#watch);
    this.#client.on("error", () => {}); // an error after the end matters to nothing
    for (const { settle } of this.#unacknowledged.values()) {
      settle({ kind: "unacknowledged", reason: "the connection to the broker was lost" });
    }
    this.#unacknowledged.clear();
    for (let one = this.#waiting.shift(); one; one = this.#waiting.shift()) one.settle(UNCONNECTED);
  }
}

/** The packet, or why it cannot be made. */
function packetOf(message: OutgoingPublish): Uint8Array | RangeError {
  try {
    return encodePublish(message);
  } catch (error) {
    if (error instanceof RangeError) return error;
    throw error;
  }
}

/** What becomes of a publish while nothing is connected. */
export const UNCONNECTED: Published = { kind: "unsent", reason: "the broker is not connected" };

function clientOptions({ clientId, keepaliveSeconds }: BrokerAddress): IClientOptions {
  return {
    protocolVersion: 5,
    clientId,
    clean: false,
    keepalive: keepaliveSeconds,
    connectTimeout: CONNECT_TIMEOUT_MS,
    reconnectPeriod: 0,
    resubscribe: false,
    timerVariant: "native",
    reschedulePings: false, // a ping too many is cheaper than a timer set again with every packet
    messageIdProvider: ONE_ID,
    log: () => {}, // its debug output costs several microseconds a packet even while it is off
    properties: {
      sessionExpiryInterval: SESSION_EXPIRY_SECONDS,
      receiveMaximum: RECEIVE_MAXIMUM,
    },
  };
}

/** MQTT.js needs an id for one subscription; all others are for publishes. */
const ONE_ID = {
  allocate: () => SUBSCRIBE_ID,
  getLastAllocated: () => SUBSCRIBE_ID,
  register: () => true,
  deallocate: () => {},
  clear: () => {},
};

/** Reason codes of a PUBACK from 0x80 on are failures (MQTT 5 §3.4.2.1). */
function outcomeOf(reasonCode: number): Published {
  return reasonCode < 0x80
    ? { kind: "acknowledged", subscribers: reasonCode !== NO_MATCHING_SUBSCRIBERS }
    : { kind: "refused", reason: REASONS[reasonCode] ?? `reason ${reasonCode}`, reasonCode };
}
