/**
 * PUBLISH and PUBACK of MQTT 5 as bytes: nearly all that passes between gateway and broker.
 *
 * A general codec makes an object of every packet and of every property, which costs more than the
 * decision on a message. Here is only what this gateway sends and needs; MQTT.js has all the rest.
 */

import type { PublishProperties } from "../../core/ports.ts";

/** What is not as MQTT 5 has it: the connection cannot go on [MQTT-4.13.1-1]. */
export class MalformedPacketError extends Error {
  override readonly name: string = "MalformedPacketError";
}

/** Packet types, MQTT 5 §2.1.2. */
export const PUBLISH = 3;
/** Acknowledges a PUBLISH with QoS 1. */
export const PUBACK = 4;

/** The largest text, and the most bytes of binary data: their length has two bytes (§1.5.4, §1.5.6). */
const FIELD_MAX_BYTES = 65_535;

/** Identifiers of properties, §2.2.2.2. */
const MESSAGE_EXPIRY_INTERVAL = 0x02;
const CORRELATION_DATA = 0x09;
const USER_PROPERTY = 0x26;

/** What no topic has that is published to: a broker ends the connection over it (§4.7.1, §1.5.4). */
// deno-lint-ignore no-control-regex -- those are what it looks for
const NOT_IN_TOPICS = /[+#\u0000-\u001f\u007f-\u009f\ud800-\udfff]/u;

const ENCODER = new TextEncoder();
const DECODER = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A message to be published with QoS 1. */
export interface OutgoingPublish {
  readonly packetId: number;
  readonly topic: string;
  readonly body: Uint8Array;
  readonly properties: PublishProperties;
}

/** True for a topic that can be published to. */
export function isPublishable(topic: string): boolean {
  return topic !== "" && !NOT_IN_TOPICS.test(topic);
}

/** A message as the broker brings it. */
interface IncomingPublish {
  readonly topic: string;
  /** A copy: it holds on to nothing that came with it. */
  readonly body: Uint8Array;
  readonly qos: 0 | 1;
  readonly isRetained: boolean;
  readonly isDuplicate: boolean;
  /** 0 with QoS 0. */
  readonly packetId: number;
}

/** The whole packet (§3.3). Throws a `RangeError` if a text is too long or has a NUL (§1.5.4). */
export function encodePublish({ packetId, topic, body, properties }: OutgoingPublish): Uint8Array {
  const fields = new Fields();
  fields.text(topic);
  const topicEnd = fields.length;
  const { messageExpiryInterval, correlationData, userProperties = {} } = properties;
  if (messageExpiryInterval !== undefined) {
    fields.byte(MESSAGE_EXPIRY_INTERVAL);
    fields.fourBytes(messageExpiryInterval);
  }
  if (correlationData !== undefined) {
    fields.byte(CORRELATION_DATA);
    fields.binary(correlationData);
  }
  for (const name in userProperties) {
    fields.byte(USER_PROPERTY);
    fields.text(name);
    fields.text(userProperties[name]!);
  }
  const propertyBytes = fields.length - topicEnd;
  const remaining = fields.length + 2 + lengthOf(propertyBytes) + body.length;
  const packet = new Uint8Array(1 + lengthOf(remaining) + remaining);
  packet[0] = PUBLISH << 4 | 0b0010;
  let at = writeNumber(packet, 1, remaining);
  packet.set(fields.from(0, topicEnd), at);
  at += topicEnd;
  packet[at++] = packetId >> 8;
  packet[at++] = packetId & 0xff;
  at = writeNumber(packet, at, propertyBytes);
  packet.set(fields.from(topicEnd, fields.length), at);
  packet.set(body, at + propertyBytes);
  return packet;
}

/** A PUBACK that says success needs no more than these four bytes (§3.4.2.1). */
export function encodePuback(packetId: number): Uint8Array {
  return Uint8Array.of(PUBACK << 4, 2, packetId >> 8, packetId & 0xff);
}

/** A PUBLISH, with its fixed header; throws a `MalformedPacketError`. */
export function decodePublish(packet: Uint8Array): IncomingPublish {
  const flags = packet[0]! & 0x0f;
  const qos = flags >> 1 & 3;
  if (qos > 1) throw new MalformedPacketError(`a PUBLISH has QoS ${qos}`);
  let at = lengthIn(packet, 1).end;
  const topicEnd = at + 2 + twoBytes(packet, at);
  const idEnd = topicEnd + (qos === 0 ? 0 : 2);
  if (idEnd > packet.length) throw new MalformedPacketError("a PUBLISH ends before its topic does");
  const topic = textOf(packet.subarray(at + 2, topicEnd));
  const packetId = qos === 0 ? 0 : twoBytes(packet, topicEnd);
  if (qos > 0 && packetId === 0) throw new MalformedPacketError("a PUBLISH has the number 0");
  // No alias was allowed, so none stands for an empty topic [MQTT-3.3.2-8].
  if (topic === "") throw new MalformedPacketError("a PUBLISH has no topic");
  const properties = lengthIn(packet, idEnd);
  at = properties.end + properties.value;
  if (at > packet.length) throw new MalformedPacketError("a PUBLISH ends before its properties do");
  return {
    ...{ topic, packetId, qos: qos as 0 | 1 },
    body: new Uint8Array(packet.subarray(at)), // a slice() of a Buffer would be no copy
    isRetained: (flags & 1) !== 0,
    isDuplicate: (flags & 8) !== 0,
  };
}

/** A PUBACK, with its fixed header; throws a `MalformedPacketError`. */
export function decodePuback(packet: Uint8Array): { packetId: number; reasonCode: number } {
  const { end } = lengthIn(packet, 1);
  return { packetId: twoBytes(packet, end), reasonCode: packet[end + 2] ?? 0 };
}

/**
 * A variable byte integer (§1.5.5) and where it ends; undefined if it is not whole. Throws a
 * `MalformedPacketError` if it never ends.
 */
export function readLength(
  bytes: Uint8Array,
  start: number,
): { value: number; end: number } | undefined {
  let value = 0;
  for (let at = start; at < start + 4; at++) {
    const byte = bytes[at];
    if (byte === undefined) return undefined;
    value += (byte & 0x7f) * 2 ** (7 * (at - start));
    if (byte < 0x80) return { value, end: at + 1 };
  }
  throw new MalformedPacketError("a length has more than four bytes");
}

function lengthIn(packet: Uint8Array, start: number): { value: number; end: number } {
  const length = readLength(packet, start);
  if (length === undefined) throw new MalformedPacketError("a packet ends within a length");
  return length;
}

function writeNumber(bytes: Uint8Array, start: number, value: number): number {
  let at = start;
  for (let left = value; left >= 0x80; left >>>= 7) bytes[at++] = left & 0x7f | 0x80;
  bytes[at] = value >>> 7 * (at - start);
  return at + 1;
}

function lengthOf(value: number): number {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : 4;
}

function twoBytes(bytes: Uint8Array, at: number): number {
  if (at + 2 > bytes.length) throw new MalformedPacketError("a packet ends within a number");
  return bytes[at]! << 8 | bytes[at + 1]!;
}

function textOf(bytes: Uint8Array): string {
  try {
    return DECODER.decode(bytes);
  } catch {
    throw new MalformedPacketError("a topic is not UTF-8"); // [MQTT-1.5.4-1]
  }
}

/** Fields one after the other, in memory that grows. */
class Fields {
  #bytes = new Uint8Array(512);
  length = 0;

  from(start: number, end: number): Uint8Array {
    return this.#bytes.subarray(start, end);
  }

  byte(value: number): void {
    this.#reserve(1);
    this.#bytes[this.length++] = value;
  }

  fourBytes(value: number): void {
    for (const shift of [24, 16, 8, 0]) this.byte(value >>> shift & 0xff);
  }

  text(text: string): void {
    if (text.includes("\0")) throw new RangeError("a text has a NUL");
    this.#reserve(2 + 3 * text.length);
    const { written } = ENCODER.encodeInto(text, this.#bytes.subarray(this.length + 2));
    this.#measure(written);
  }

  binary(bytes: Uint8Array): void {
    this.#reserve(2 + bytes.length);
    this.#bytes.set(bytes, this.length + 2);
    this.#measure(bytes.length);
  }

  #measure(count: number): void {
    if (count > FIELD_MAX_BYTES) throw new RangeError(`a field has ${count} bytes`);
    this.#bytes[this.length] = count >> 8;
    this.#bytes[this.length + 1] = count & 0xff;
    this.length += 2 + count;
  }

  #reserve(count: number): void {
    if (this.length + count <= this.#bytes.length) return;
    const larger = new Uint8Array(2 * (this.length + count));
    larger.set(this.#bytes);
    this.#bytes = larger;
  }
}
