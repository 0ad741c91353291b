/**
 * A TCP connection as a stream of Node.js, for what is laid over it.
 *
 * The runtime's own `node:net` keeps up to 256 buffers of 64 KiB for each thing that reads, which is
 * a tenth of the whole program. This one reads into one buffer, and passes on what came.
 */

import { Buffer } from "node:buffer";
import { Duplex } from "node:stream";

/** Most bytes that are read at once. */
const READ_BYTES = 65_536;

/** A TLS record of this length is an alert, if it is encrypted (RFC 8446 §5.2, §6): 5 + 2 + 1 + 16. */
const ALERT_BYTES = 24;

/** How soon after its last record a server that takes leave ends the connection, milliseconds. */
const LEAVE_WITHIN_MS = 1_000;

type Done = (error?: Error | null) => void;

/** Where to connect, and how long that may take. */
interface TcpAddress {
  readonly host: string;
  readonly port: number;
  readonly timeoutMs: number;
}

/** A connection that is made at once; an error if none of the host's addresses takes it. */
export class TcpStream extends Duplex {
  readonly #address: TcpAddress;
  readonly #buffer = new Uint8Array(READ_BYTES);
  #connection: Deno.TcpConn | undefined;
  /** The end of what came last, and when. */
  #tail = new Uint8Array();
  #tailMs = 0;

  constructor(address: TcpAddress) {
    super({ allowHalfOpen: false });
    this.#address = address;
  }

  /**
   * True if the other side has just taken leave: its last TLS record was an alert. A process that
   * dies says nothing.
   */
  get wasLeft(): boolean {
    return performance.now() - this.#tailMs < LEAVE_WITHIN_MS && isAlert(this.#tail);
  }

  override _construct(done: Done): void {
    this.#connect().then(() => done(), done);
  }

  override _read(): void {
    this.#connection!.read(this.#buffer).then(
      (count) => this.#take(count),
      (error) => this.destroy(error),
    );
  }

  #take(count: number | null): void {
    if (count === null) return void this.push(null);
    const bytes = this.#buffer.subarray(0, count);
    this.#tail = bytes.slice(-ALERT_BYTES);
    this.#tailMs = performance.now();
    this.push(Buffer.from(bytes));
  }

  override _write(bytes: Uint8Array, _encoding: string, done: Done): void {
    this.#writeAll(bytes).then(() => done(), done);
  }

  override _writev(parts: { readonly chunk: Uint8Array }[], done: Done): void {
    this.#writeAll(Buffer.concat(parts.map(({ chunk }) => chunk))).then(() => done(), done);
  }

  override _final(done: Done): void {
    this.#connection!.closeWrite().then(() => done(), () => done()); // the other side is gone already
  }

  override _destroy(error: Error | null, done: Done): void {
    this.#connection?.close();
    done(error);
  }

  async #connect(): Promise<void> {
    const { host: hostname, port, timeoutMs } = this.#address;
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(new Error("the connection timed out")), timeoutMs);
    try {
      this.#connection = await Deno.connect({ hostname, port, signal: late.signal });
      this.#connection.setNoDelay(true); // or a round trip waits 40 ms for the delayed ACK
    } finally {
      clearTimeout(timer);
    }
  }

  async #writeAll(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) at += await this.#connection!.write(bytes.subarray(at));
  }
}

/** A record that has room for an alert and no more. */
function isAlert(tail: Uint8Array): boolean {
  const [type, major, minor, high, low] = tail;
  const length = high! * 256 + low!;
  const isRecord = major === 3 && minor === 3 && tail.length === ALERT_BYTES;
  return isRecord && type === 0x17 && length === ALERT_BYTES - 5;
}
