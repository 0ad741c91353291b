/**
 * What a client still sends of a request that is answered without it.
 *
 * An answer that overtakes its request ends the stream under HTTP/2, as it may (RFC 9113 §8.1), and
 * clients that are still sending then show an error of the stream instead of the answer: curl 7.88,
 * Debian 12's, does so after a wrong key.
 *
 * The rules are:
 * - what comes is dropped, in one small buffer;
 * - bytes, reads and time are bounded: a client without a key costs no more than before;
 * - a client that asks first whether it should send (Expect) is not told to.
 */

import { byteReaderOf } from "../../http/bounded_body.ts";

/** Twice the largest body of a command: enough for one that is too large by mistake. */
const REST_MAX_BYTES = 131_072;

/** Most reads: chunks of one byte cost as much as large ones. */
const READS_MAX = 64;

const BUFFER_BYTES = 4096;

/** How long a client may take for it, milliseconds. */
const REST_MS = 1_000;

/** Resolves when the rest has come and is dropped, or a bound is reached, or `stop` is aborted. */
export async function dropRestOfBody(request: Request, stop: AbortSignal): Promise<void> {
  const { body, bodyUsed, headers } = request;
  if (body === null || bodyUsed || headers.has("expect") || stop.aborted) return;
  if (Number(headers.get("content-length") ?? 0) > REST_MAX_BYTES) return; // it is not waited for
  const reader = byteReaderOf(body);
  if (reader === undefined) return; // it is in memory already: all of it has come
  const end = () => void reader.cancel().catch(() => {}); // it may be broken
  const timer = setTimeout(end, REST_MS);
  stop.addEventListener("abort", end);
  try {
    await drop(reader);
  } catch {
    // It broke off: no one reads the answer.
  } finally {
    clearTimeout(timer);
    stop.removeEventListener("abort", end);
    end();
  }
}

async function drop(reader: ReadableStreamBYOBReader): Promise<void> {
  let buffer = new Uint8Array(BUFFER_BYTES);
  for (let reads = 0, bytes = 0; reads < READS_MAX && bytes <= REST_MAX_BYTES; reads++) {
    const { done, value } = await reader.read(buffer);
    if (done) return;
    bytes += value.length;
    buffer = new Uint8Array(value.buffer);
  }
}
