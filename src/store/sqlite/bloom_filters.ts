/**
 * Which ids have certainly not been used: 32 Bloom filters side by side, so that one look asks all.
 *
 * A filter never says "no" of an id that was added, and seldom "perhaps" of another: about once in
 * 1,700 when it is full. Bloom, "Space/time trade-offs in hash coding with allowable errors", 1970;
 * two hashes in place of many: Kirsch and Mitzenmacher, "Less hashing, same performance", 2006.
 */

/** Filters in a bank: as many as a word has bits. */
export const BANK_FILTERS = 32;

/** Ids that a filter is made for; more are no error, but make it say "perhaps" more often. */
export const FILTER_IDS = 16_384;

/** 16 an id; a power of 2. */
const FILTER_BITS = 16 * FILTER_IDS;
const BITS_SET_PER_ID = 8;

/** What a filter knows an id by. */
export interface IdHash {
  /** Where its first bit is; 32 bits. */
  readonly start: number;
  /** From one bit to the next; 32 bits, odd. */
  readonly step: number;
}

/** The hash of a device's message id, which has 16 bytes. */
export function hashOf(deviceId: string, messageId: Uint8Array): IdHash {
  let [start, step] = [0x811c9dc5, 0x9e3779b9];
  for (let i = 0; i < deviceId.length; i++) start = mixed(start ^ deviceId.charCodeAt(i));
  for (let i = 0; i < messageId.length; i += 4) {
    const word = messageId[i]! | messageId[i + 1]! << 8 | messageId[i + 2]! << 16 |
      messageId[i + 3]! << 24;
    start = mixed(start ^ word);
    step = mixed(step + word | 0) ^ start;
  }
  return { start, step: step | 1 };
}

/** The filters, by number from 0 to 31. */
export class BloomFilters {
  /** Word n has bit n of every filter: a filter is a column of bits. */
  readonly #words = new Uint32Array(FILTER_BITS);

  add(filter: number, { start, step }: IdHash): void {
    for (let i = 0, bit = start; i < BITS_SET_PER_ID; i++, bit = bit + step | 0) {
      this.#words[bit & FILTER_BITS - 1]! |= 1 << filter;
    }
  }

  /** The filters to which the id may have been added, as bits; 0 if it is certainly in none. */
  mayHave({ start, step }: IdHash): number {
    let filters = -1;
    for (let i = 0, bit = start; i < BITS_SET_PER_ID && filters !== 0; i++, bit = bit + step | 0) {
      filters &= this.#words[bit & FILTER_BITS - 1]!;
    }
    return filters;
  }

  /** A filter's bits, the lowest first in each byte; to be kept for `restore()`. */
  bytesOf(filter: number): Uint8Array {
    const bytes = new Uint8Array(FILTER_BITS / 8);
    for (let bit = 0; bit < FILTER_BITS; bit++) {
      bytes[bit >>> 3]! |= (this.#words[bit]! >>> filter & 1) << (bit & 7);
    }
    return bytes;
  }

  /** Adds to a filter what was kept of it; false, and nothing is added, if these are no bits. */
  restore(filter: number, bytes: Uint8Array): boolean {
    if (bytes.length !== FILTER_BITS / 8) return false;
    for (let bit = 0; bit < FILTER_BITS; bit++) {
      this.#words[bit]! |= (bytes[bit >>> 3]! >>> (bit & 7) & 1) << filter;
    }
    return true;
  }
}

/** Spreads 32 bits over 32 bits: the end of MurmurHash3. */
function mixed(word: number): number {
  let bits = Math.imul(word ^ word >>> 16, 0x85ebca6b);
  bits = Math.imul(bits ^ bits >>> 13, 0xc2b2ae35);
  return bits ^ bits >>> 16;
}
