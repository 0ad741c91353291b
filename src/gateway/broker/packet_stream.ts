/**
 * What MQTT.js reads and writes, over TLS: all packets but those that carry messages.
 *
 * PUBLISH and PUBACK, which is nearly everything, go past it, both ways: the pipeline takes messages
 * by the batch and acknowledges them when they are committed, while MQTT.js handles one packet after
 * the other, and acknowledges each at once. It has the rest: CONNECT, SUBSCRIBE, PING, DISCONNECT.
 */

import { Buffer } from "node:buffer";
import { Duplex } from "node:stream";
import { setImmediate } from "node:timers";
import type { TLSSocket } from "node:tls";
import { PacketSplitter } from "./packet_splitter.ts";
import { PUBACK, PUBLISH } from "./publish_packet.ts";

/** MQTT 5 §2.1.2. */
const CONNACK = 2;

/** Who is told what; errors thrown here end the connection. */
interface PacketEvents {
  /** The broker has taken us, and told before whatever it sends next; whether it has kept a session. */
  onConnack(sessionPresent: boolean): void;
  /** With its fixed header. The bytes are good only until this returns. */
  onPublish(packet: Uint8Array): void;
  onPuback(packet: Uint8Array): void;
  onError(error: Error): void;
}

type Done = (error?: Error | null) => void;

/** The stream. */
export class PacketStream extends Duplex {
  readonly #secure: TLSSocket;
  readonly #events: PacketEvents;
  readonly #splitter = new PacketSplitter();
  /** Sent in this turn of the event loop: it goes out as one write. */
  #unsent: Uint8Array[] = [];

  constructor(secure: TLSSocket, events: PacketEvents) {
    super({ allowHalfOpen: false });
    this.#secure = secure;
    this.#events = events;
    secure.on("data", (chunk: Uint8Array) => this.#split(chunk));
    secure.on("end", () => this.push(null));
    secure.on("error", (error) => this.#fail(error));
    secure.on("close", () => this.destroy());
  }

  /** Sends a whole packet. */
  send(packet: Uint8Array): void {
    if (this.destroyed) return;
    if (this.#unsent.push(packet) === 1) setImmediate(() => this.#flush());
  }

  override _read(): void {}

  override _write(bytes: Uint8Array, _encoding: string, done: Done): void {
    this.#flush();
    this.#secure.write(bytes, done);
  }

  override _final(done: Done): void {
    this.#flush();
    this.#secure.end(() => done());
  }

  override _destroy(error: Error | null, done: Done): void {
    this.#unsent = [];
    this.#secure.destroy();
    done(error);
  }

  #flush(): void {
    if (this.#unsent.length === 0) return;
    const [first] = this.#unsent as [Uint8Array];
    this.#secure.write(this.#unsent.length === 1 ? first : Buffer.concat(this.#unsent));
    this.#unsent = [];
  }

  #split(chunk: Uint8Array): void {
    if (this.destroyed) return;
    try {
      this.#splitter.push(chunk, (packet) => this.#take(packet));
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  #take(packet: Uint8Array): void {
    switch (packet[0]! >> 4) {
      case PUBLISH:
        return this.#events.onPublish(packet);
      case PUBACK:
        return this.#events.onPuback(packet);
      case CONNACK:
        // Flags and reason code, §3.2.2: a broker that refuses has no session.
        if (packet[3] === 0) this.#events.onConnack((packet[2]! & 1) === 1);
    }
    this.push(Buffer.from(packet));
  }

  #fail(error: Error): void {
    this.#events.onError(error);
    this.destroy();
  }
}
