/** Lines to a place that may be full or gone: what cannot be written is dropped, and counted. */

/** Writes some of the bytes and returns how many, or throws. */
type WriteBytes = (bytes: Uint8Array) => number;

/** One such place; nothing that happens to it stops the program. */
export class LineOutput {
  readonly #write: WriteBytes;
  #dropped = 0;
  #isFailing = false;
  /** The last line broke off: without an end, the next one would become part of it. */
  #isTorn = false;

  constructor(write: WriteBytes) {
    this.#write = write;
  }

  /** Writes a whole line with its newline at once, or drops it. */
  write(line: string): void {
    const bytes = new TextEncoder().encode(this.#isTorn ? `\n${line}` : line);
    let at = 0;
    try {
      while (at < bytes.length) at += this.#write(bytes.subarray(at));
      this.#isFailing = this.#isTorn = false;
    } catch {
      this.#dropped++;
      this.#isFailing = true;
      if (at > 0) this.#isTorn = true;
    }
  }

  /** How many lines were dropped before the one that went through; each is reported once. */
  takeDropped(): number {
    if (this.#isFailing) return 0;
    const count = this.#dropped;
    this.#dropped = 0;
    return count;
  }
}
