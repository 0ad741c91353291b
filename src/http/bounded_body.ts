/**
 * The body of a request or an answer, read with a bound on its bytes and on what they cost.
 *
 * The rules are:
 * - bytes are counted as they come: what the headers announce is no bound;
 * - they come into one buffer of our own: a chunk that the runtime allocates holds on to 64 KiB, though
 *   it has one byte;
 * - what is there already is read at once, so now and then others have their turn in between: a body
 *   in tiny chunks would hold up everything else, and its own time limit too.
 */

import { turnOfOthers } from "../time/turn_of_others.ts";

/** Where a body goes that does not announce its length, before it proves longer. */
const FIRST_BUFFER_BYTES = 4096;

/** A read of a request's body into less room than 5 bytes never ends (Deno 2.9.5). */
const ROOM_MIN_BYTES = 16;

/** How a body is read. */
interface BodyOptions {
  readonly maxBytes: number;
  /** Those of the message that the body belongs to. */
  readonly headers: Headers;
  /** Ends the reading early; what it has brought is then of no use. */
  readonly stop?: AbortSignal;
}

/** Reads in a row before others have their turn. */
const READS_IN_A_ROW_MAX = 64;

/** A whole body; undefined if it is longer. Rejects if it breaks off. */
export async function readBoundedBody(
  body: ReadableStream<Uint8Array<ArrayBuffer>> | null,
  { maxBytes, headers, stop }: BodyOptions,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  if (body === null) return new Uint8Array();
  const buffer = new GrowingBuffer(firstBufferBytes(headers, maxBytes), maxBytes);
  const bytes = byteReaderOf(body);
  const chunks = bytes ? undefined : body.getReader();
  const cancel = () => void (bytes ?? chunks)?.cancel().catch(() => {}); // it may be broken
  stop?.addEventListener("abort", cancel);
  try {
    const isWhole = bytes ? await readBytes(bytes, buffer) : await readChunks(chunks!, buffer);
    if (isWhole) return buffer.content;
    cancel();
    return undefined;
  } finally {
    stop?.removeEventListener("abort", cancel);
  }
}

/** The body of an answer as text; throws if it has over `maxBytes`. */
export async function readBoundedText(
  { body, headers }: Response,
  maxBytes: number,
): Promise<string> {
  const bytes = await readBoundedBody(body, { maxBytes, headers });
  if (bytes === undefined) throw new Error(`the answer has over ${maxBytes} bytes`);
  return new TextDecoder().decode(bytes);
}

/** The reader of a stream of bytes; a body that is in memory already is none. */
export function byteReaderOf(body: ReadableStream<Uint8Array<ArrayBuffer>>) {
  try {
    return body.getReader({ mode: "byob" });
  } catch {
    return undefined;
  }
}

/** False if there are too many. */
async function readBytes(reader: ReadableStreamBYOBReader, buffer: GrowingBuffer) {
  for (let reads = 1; !buffer.isOverfull; reads++) {
    if (reads % READS_IN_A_ROW_MAX === 0) await turnOfOthers();
    const { done, value } = await reader.read(buffer.free());
    if (value) buffer.filled(value);
    if (done) return true;
  }
  return false;
}

async function readChunks(
  reader: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>,
  buffer: GrowingBuffer,
) {
  for (let reads = 1; !buffer.isOverfull; reads++) {
    if (reads % READS_IN_A_ROW_MAX === 0) await turnOfOthers();
    const { done, value } = await reader.read();
    if (done) return true;
    buffer.append(value);
  }
  return false;
}

/** Grows by doubling, and never to much more than there may be. */
class GrowingBuffer {
  readonly #maxBytes: number;
  #bytes: Uint8Array<ArrayBuffer>;
  #length = 0;

  constructor(firstBytes: number, maxBytes: number) {
    this.#maxBytes = maxBytes;
    this.#bytes = new Uint8Array(firstBytes);
  }

  get content(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#length);
  }

  get isOverfull(): boolean {
    return this.#length > this.#maxBytes;
  }

  /** Room for what comes next; it is gone until `filled`. */
  free(): Uint8Array<ArrayBuffer> {
    if (this.#bytes.length - this.#length < ROOM_MIN_BYTES) this.#enlarge();
    return this.#bytes.subarray(this.#length);
  }

  /** The reader gives the room back, with so many bytes in it. */
  filled(view: Uint8Array<ArrayBuffer>): void {
    this.#bytes = new Uint8Array(view.buffer);
    this.#length += view.length;
  }

  /** Takes as much of a chunk as there may be. */
  append(chunk: Uint8Array<ArrayBuffer>): void {
    for (let rest = chunk; rest.length > 0 && !this.isOverfull;) {
      const room = this.free();
      const part = rest.subarray(0, room.length);
      room.set(part);
      this.#length += part.length;
      rest = rest.subarray(part.length);
    }
  }

  #enlarge(): void {
    const larger = new Uint8Array(
      Math.min(2 * this.#bytes.length, this.#maxBytes) + ROOM_MIN_BYTES,
    );
    larger.set(this.#bytes);
    this.#bytes = larger;
  }
}

/** More than was announced, to see the end. */
function firstBufferBytes(headers: Headers, maxBytes: number): number {
  const announced = Number(headers.get("content-length") ?? NaN);
  const isExact = announced <= maxBytes && !headers.has("content-encoding");
  return ROOM_MIN_BYTES + (isExact ? announced : Math.min(maxBytes, FIRST_BUFFER_BYTES));
}
