/** A device that speaks MQTT packet by packet, so that it can say what no client library would. */

import { connect, type TLSSocket } from "node:tls";
import { poll } from "../../src/time/poll.ts";
import { deviceFolderAt } from "../../src/site/layout.ts";

/** Types of MQTT packets, as they stand in the upper half of the first byte. */
export const PACKET = {
  connect: 1,
  connack: 2,
  publish: 3,
  puback: 4,
  pubrec: 5,
  pubrel: 6,
  subscribe: 8,
  suback: 9,
  pingreq: 12,
  pingresp: 13,
  disconnect: 14,
} as const;

/** MQTT 5 properties that the tests set, by their identifiers (§2.2.2.2). */
export const PROPERTY = {
  payloadFormat: 0x01,
  messageExpiry: 0x02,
  responseTopic: 0x08,
  correlationData: 0x09,
  subscriptionIdentifier: 0x0b,
  sessionExpiry: 0x11,
  topicAlias: 0x23,
  userProperty: 0x26,
} as const;

/** A packet as it came. */
interface RawPacket {
  readonly type: number;
  readonly flags: number;
  readonly body: Uint8Array;
}

/** A PUBLISH to be sent. */
export interface RawPublish {
  readonly topic: string | Uint8Array;
  readonly message: string | Uint8Array;
  readonly qos?: number;
  readonly dup?: boolean;
  readonly retain?: boolean;
  readonly packetId?: number;
  /** MQTT 5, encoded. */
  readonly properties?: Uint8Array;
}

/** How a raw device connects. */
export interface RawConnect {
  readonly port: number;
  readonly version?: 4 | 5;
  readonly clientId?: string;
  readonly cleanStart?: boolean;
  readonly keepaliveSeconds?: number;
  readonly properties?: Uint8Array;
  readonly will?: RawPublish;
}

/** One TLS connection of a device. */
export class RawDevice {
  /** Every packet so far. */
  readonly packets: RawPacket[] = [];
  /** True once the connection is gone, from either side. */
  ended = false;
  readonly #socket: TLSSocket;
  readonly #version: number;
  readonly #closed: Promise<void>;

  private constructor(socket: TLSSocket, version: number) {
    this.#socket = socket;
    this.#version = version;
    let bytes = new Uint8Array();
    socket.on("data", (chunk: Uint8Array) => bytes = this.#take(joined([bytes, chunk])));
    socket.on("error", () => {}); // a reset by the broker; "close" comes next
    this.#closed = new Promise((resolve) =>
      socket.on("close", () => {
        this.ended = true;
        resolve();
      })
    );
  }

  /** Opens the connection, says CONNECT and waits for what the broker says to that. */
  static async connect(folder: string, options: RawConnect): Promise<RawDevice> {
    const files = deviceFolderAt(folder);
    const socket = connect({
      host: "localhost",
      port: options.port,
      ca: await Deno.readTextFile(files.ca),
      cert: await Deno.readTextFile(files.certificate),
      key: await Deno.readTextFile(files.key),
    });
    socket.setNoDelay(true);
    const device = new RawDevice(socket, options.version ?? 5);
    const deviceId = JSON.parse(await Deno.readTextFile(files.description)).device_id;
    device.write(connectPacket({ clientId: deviceId, ...options }));
    await poll("CONNACK", () => device.packets.length > 0 || device.ended);
    return device;
  }

  /** The reason code in the CONNACK; undefined where the broker closed without one. */
  get connackCode(): number | undefined {
    return this.packets.find(({ type }) => type === PACKET.connack)?.body[1];
  }

  /** Writes bytes as they are; nothing happens where the connection is gone. */
  write(bytes: Uint8Array): void {
    if (!this.ended) this.#socket.write(bytes);
  }

  /** Sends a PUBLISH. */
  publish(publish: RawPublish): void {
    this.write(publishPacket(publish, this.#version));
  }

  /** Sends a SUBSCRIBE for one filter at QoS 1 and returns the reason code in its SUBACK; -1 without one. */
  async subscribe(filter: string): Promise<number> {
    this.write(subscribePacket(filter, this.#version));
    return (await this.#next(PACKET.suback))?.body.at(-1) ?? -1;
  }

  /** Asks, and waits until everything before is dealt with, or the broker has hung up. */
  async ping(): Promise<void> {
    this.write(packet(PACKET.pingreq, 0, []));
    await this.#next(PACKET.pingresp);
  }

  /** Waits for the first packet of a type. */
  async packet(type: number): Promise<RawPacket> {
    return await poll(
      `a packet of type ${type}`,
      () => this.packets.find((packet) => packet.type === type),
    );
  }

  /** Cuts the connection without a DISCONNECT, as a device that dies. */
  async die(): Promise<void> {
    this.#socket.destroy();
    await this.#closed;
  }

  /** The next packet of a type; undefined where the connection ends before it comes. */
  async #next(type: number): Promise<RawPacket | undefined> {
    const from = this.packets.length;
    const next = () => this.packets.slice(from).find((packet) => packet.type === type);
    await poll(`the next packet of type ${type}`, () => next() ?? this.ended);
    return next();
  }

  /** Takes the whole packets out of `bytes`; returns what is left. */
  #take(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
    let rest = bytes;
    for (let next = split(rest); next; next = split(rest)) {
      this.packets.push(next.packet);
      rest = rest.slice(next.length);
    }
    return rest;
  }
}

/** A packet of any type and body. */
export function packet(
  type: number,
  flags: number,
  parts: readonly Uint8Array[],
): Uint8Array<ArrayBuffer> {
  const body = joined(parts);
  return joined([Uint8Array.of(type << 4 | flags), variableInteger(body.length), body]);
}

/** One MQTT 5 property: its identifier and its value, encoded. */
export function property(identifier: number, ...value: readonly Uint8Array[]): Uint8Array {
  return joined([Uint8Array.of(identifier), ...value]);
}

/** Text or bytes with their length in front. */
export function prefixed(value: string | Uint8Array): Uint8Array {
  const bytes = bytesOf(value);
  return joined([uint16(bytes.length), bytes]);
}

/** Two bytes, the higher first. */
export function uint16(value: number): Uint8Array {
  return Uint8Array.of(value >> 8, value & 0xff);
}

/** One array of many. */
export function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** A PUBLISH packet. */
export function publishPacket(publish: RawPublish, version: number): Uint8Array<ArrayBuffer> {
  const { topic, message, qos = 1, dup = false, retain = false, packetId = 1 } = publish;
  return packet(PACKET.publish, Number(dup) << 3 | qos << 1 | Number(retain), [
    prefixed(topic),
    ...(qos > 0 ? [uint16(packetId)] : []),
    ...(version === 5 ? [propertiesOf(publish.properties)] : []),
    bytesOf(message),
  ]);
}

function connectPacket(options: RawConnect): Uint8Array {
  const { version = 5, clientId = "", cleanStart = true, will } = options;
  const willFlags = will ? 1 << 2 | (will.qos ?? 1) << 3 | Number(will.retain ?? false) << 5 : 0;
  return packet(PACKET.connect, 0, [
    prefixed("MQTT"),
    Uint8Array.of(version, Number(cleanStart) << 1 | willFlags),
    uint16(options.keepaliveSeconds ?? 60),
    ...(version === 5 ? [propertiesOf(options.properties)] : []),
    prefixed(clientId),
    ...(will && version === 5 ? [propertiesOf(will.properties)] : []),
    ...(will ? [prefixed(will.topic), prefixed(will.message)] : []),
  ]);
}

function subscribePacket(filter: string, version: number): Uint8Array {
  return packet(PACKET.subscribe, 2, [
    uint16(7),
    ...(version === 5 ? [propertiesOf(undefined)] : []),
    prefixed(filter),
    Uint8Array.of(1),
  ]);
}

function propertiesOf(properties: Uint8Array = new Uint8Array()): Uint8Array {
  return joined([variableInteger(properties.length), properties]);
}

/** Seven bits a byte, the lowest first (MQTT 5 §1.5.5). */
function variableInteger(value: number): Uint8Array {
  const bytes: number[] = [];
  do {
    bytes.push(value & 0x7f | (value > 0x7f ? 0x80 : 0));
    value >>= 7;
  } while (value > 0);
  return Uint8Array.from(bytes);
}

function bytesOf(value: string | Uint8Array): Uint8Array {
  return typeof value === "string" ? new TextEncoder().encode(value) : value;
}

/** The first whole packet of `bytes` and its length; undefined where there is none yet. */
function split(bytes: Uint8Array): { packet: RawPacket; length: number } | undefined {
  let size = 0;
  for (let at = 1; at < Math.min(bytes.length, 5); at++) {
    size |= (bytes[at]! & 0x7f) << 7 * (at - 1);
    if (bytes[at]! >= 0x80) continue;
    const length = at + 1 + size;
    if (bytes.length < length) return undefined;
    const first = bytes[0]!;
    const packet = { type: first >> 4, flags: first & 15, body: bytes.slice(at + 1, length) };
    return { packet, length };
  }
  return undefined;
}
