/** Splits what comes from a broker into packets, wherever the chunks begin and end. */

import { readLength } from "./publish_packet.ts";

/** The splitter. */
export class PacketSplitter {
  /** The beginning of a packet of which more is to come. */
  #parts: Uint8Array[] = [];
  #held = 0;
  /** How many bytes are needed to go on: a header, or the packet whose header is known. */
  #wanted = 0;

  /**
   * Calls `take` for each packet that is whole now, with its header. The bytes are the chunk's own
   * wherever a packet lies within one. Throws a `MalformedPacketError`.
   */
  push(chunk: Uint8Array, take: (packet: Uint8Array) => void): void {
    let bytes = chunk;
    if (this.#held > 0) {
      this.#parts.push(chunk);
      this.#held += chunk.length;
      if (this.#held < this.#wanted) return;
      bytes = this.#join();
    }
    let at = 0;
    while (at < bytes.length) {
      const end = endOf(bytes, at);
      if (end === undefined || end > bytes.length) {
        this.#hold(bytes.subarray(at), (end ?? at) - at);
        return;
      }
      take(bytes.subarray(at, end));
      at = end;
    }
  }

  #hold(rest: Uint8Array, wanted: number): void {
    this.#parts = [new Uint8Array(rest)]; // a copy: not the whole chunk
    this.#held = rest.length;
    this.#wanted = Math.max(wanted, rest.length + 1);
  }

  #join(): Uint8Array {
    const joined = new Uint8Array(this.#held);
    let at = 0;
    for (const part of this.#parts) {
      joined.set(part, at);
      at += part.length;
    }
    this.#parts = [];
    this.#held = 0;
    return joined;
  }
}

/** Where the packet that begins at `start` ends; undefined if its length is not whole yet. */
function endOf(bytes: Uint8Array, start: number): number | undefined {
  const length = readLength(bytes, start + 1);
  return length && length.end + length.value;
}
