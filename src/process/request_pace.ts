/**
 * How much a client may send before something goes back to it.
 *
 * The runtime's TLS takes whatever comes, even if nobody reads it, and each read of what it holds
 * costs as much as all of it: a body that never ends would take all memory, and 5 MB in chunks of one
 * byte all time, for a minute (Deno 2.9.5).
 *
 * The rules are:
 * - a request of any size that the API takes passes without a wait;
 * - what is more has to wait now and then, so that the gateway can read meanwhile;
 * - beyond what HTTP/2 grants a client without an answer, everything waits until something goes back,
 *   and the connection ends if nothing does.
 */

/** Sent at once: the largest body of a command, and all fields there may be. */
const FREE_BYTES = 262_144;

/** HTTP/2's window of a connection, 1 MiB here, and what its frames and TLS add. */
const MOST_BYTES = 1_572_864;

/** Between two portions beyond `FREE_BYTES`. */
const PAUSE_MS = 20;

/** Longest wait for something that goes back: a body's time is shorter. */
const STALLED_MS = 30_000;

/** The pace of one connection. */
export class RequestPace {
  readonly #stalledMs: number;
  /** Since something last went back. */
  #sent = 0;
  #isEnded = false;
  #wake = () => {};

  constructor(stalledMs = STALLED_MS) {
    this.#stalledMs = stalledMs;
  }

  /** Resolves when more may be read, after so many bytes were sent; rejects if nothing goes back. */
  async sent(bytes: number): Promise<void> {
    this.#sent += bytes;
    if (this.#isEnded || this.#sent <= FREE_BYTES) return;
    if (this.#sent <= MOST_BYTES) return await this.#pause(PAUSE_MS);
    await this.#pause(this.#stalledMs);
    if (this.#sent > MOST_BYTES && !this.#isEnded) throw new Error("The client is not answered");
  }

  /** Something goes back to the client. */
  answered(): void {
    this.#sent = 0;
    this.#wake();
  }

  /** The connection has ended: nothing waits any longer. */
  end(): void {
    this.#isEnded = true;
    this.#wake();
  }

  /** Resolves when something goes back, or after `ms`. */
  async #pause(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    const timer = setTimeout(resolve, ms);
    await promise;
    clearTimeout(timer);
  }
}
