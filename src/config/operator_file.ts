/**
 * Files that an operator, a setting or another file names: they may be anything.
 *
 * The rules are:
 * - only a regular file is read, and it is looked at after it was opened: a device has no end, and a
 *   named pipe keeps its reader waiting;
 * - no more is read than the limit, whatever size the file says it has.
 */

import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";

/** Largest file that is read unless a limit is given, in bytes: a long list of a large fleet. */
const FILE_MAX_BYTES = 64 * 1_048_576;

/** Of what stands in /dev or /proc. */
const NOT_A_FILE = "it is part of the system, not a regular file: write its content to a file";

/** What is made room for if no size is known, in bytes. */
const CHUNK_BYTES = 65_536;

/** The bytes of a regular file; throws the system's error, or one that says what the file is. */
export function readOperatorFile(path: string, maxBytes: number = FILE_MAX_BYTES): Uint8Array {
  // Not waiting for the other end of a pipe.
  const file = open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const info = fstatSync(file);
    if (!info.isFile()) throw new Error(`it is ${kindOf(info)}, not a regular file`);
    return readBounded((buffer) => readSync(file, buffer), maxBytes, info.size);
  } finally {
    closeSync(file);
  }
}

/** The same as text, without a byte order mark; throws also if it is not UTF-8, or UTF-16 with one. */
export function readOperatorText(path: string, maxBytes?: number): string {
  return textOf(readOperatorFile(path, maxBytes));
}

/** The text in the bytes of such a file; throws as `readOperatorText` does. */
export function textOf(bytes: Uint8Array): string {
  const encoding = encodingOf(bytes);
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes);
  } catch {
    throw new Error(`it is not ${encoding.slice(0, 6).toUpperCase()}`);
  }
}

/** Some systems write text as UTF-16 and say so by its first two bytes. */
function encodingOf([first, second]: Uint8Array): string {
  if (first === 0xff && second === 0xfe) return "utf-16le";
  return first === 0xfe && second === 0xff ? "utf-16be" : "utf-8";
}

/** The same as a promise. */
export function readText(path: string, maxBytes?: number): Promise<string> {
  return Promise.try(() => readOperatorText(path, maxBytes));
}

/**
 * Everything up to the end that `read` says by 0; throws beyond `maxBytes`. What is as long as
 * expected takes that many bytes and one: the one that would be more.
 */
export function readBounded(
  read: (buffer: Uint8Array) => number,
  maxBytes: number,
  expectedBytes: number = CHUNK_BYTES - 1,
): Uint8Array {
  let buffer = new Uint8Array(Math.min(expectedBytes, maxBytes) + 1);
  for (let length = 0;;) {
    const count = read(buffer.subarray(length));
    if (count === 0) return buffer.subarray(0, length);
    length += count;
    if (length > maxBytes) throw new Error(`it has over ${maxBytes} bytes`);
    if (length === buffer.length) buffer = grown(buffer, maxBytes + 1);
  }
}

/** Twice as large, so that what grows is not copied for each piece. */
function grown(buffer: Uint8Array, maxBytes: number): Uint8Array<ArrayBuffer> {
  const size = Math.max(2 * buffer.length, CHUNK_BYTES);
  const larger = new Uint8Array(Math.min(size, maxBytes));
  larger.set(buffer);
  return larger;
}

/** With the errors that the rest of Deno throws. */
function open(path: string, flags: number): number {
  try {
    return openSync(path, flags);
  } catch (error) {
    const { code } = error as { code?: string };
    const message = (error as Error).message.replace(/^\w+: /, "");
    // What Deno keeps for itself: /dev/stdin, /dev/fd/63 of a shell's <(…), most of /proc.
    if (error instanceof Deno.errors.NotCapable) throw new Error(NOT_A_FILE, { cause: error });
    if (code === "ENOENT") throw Object.assign(new Deno.errors.NotFound(message), { code });
    if (code !== "EACCES") throw error;
    throw Object.assign(new Deno.errors.PermissionDenied(message), { code });
  }
}

function kindOf(info: ReturnType<typeof fstatSync>): string {
  if (info.isDirectory()) return "a folder";
  if (info.isFIFO()) return "a named pipe";
  return info.isSocket() ? "a socket" : "a device";
}
