/**
 * A strict JSON scanner: it finds where a value ends, and builds no values.
 *
 * The rules are:
 * - the grammar is RFC 8259's, to the letter: no leading zeros, no trailing commas, no raw control
 *   characters in strings, white space is space, tab, CR and LF;
 * - it works on bytes, so that what was signed can be cut out of the message unchanged;
 * - it is total: it returns a position or a fault for any bytes and never throws, because nesting is
 *   limited far below what overflows the stack;
 * - bytes of 0x80 and above are allowed inside strings only, and noted: the caller checks the whole
 *   text for UTF-8 once, with `isUtf8`.
 */

/** What is wrong with a text, and at which byte. */
export interface ScanFault {
  readonly what: string;
  readonly at: number;
}

/** What every method returns instead of a position if the text is invalid. */
export const FAULT = -1;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const HEX_DIGITS_IN_ESCAPE = 4;

/** Scans JSON text in `bytes`; a method takes a position and returns the one after, or `FAULT`. */
export class JsonScanner {
  readonly bytes: Uint8Array;
  /** The first fault; set if a method returned `FAULT`. */
  fault: ScanFault | undefined;
  /** Bytes of insignificant white space skipped so far. */
  spaces = 0;
  /** True once there was a byte of 0x80 or above. */
  nonAscii = false;
  readonly #depthMax: number;

  /** `depthMax`: how deep arrays and objects may nest inside one `value` call. */
  constructor(bytes: Uint8Array, depthMax: number) {
    this.bytes = bytes;
    this.#depthMax = depthMax;
  }

  /** Skips white space. */
  space(at: number): number {
    let next = at;
    while (isSpace(this.bytes[next])) next++;
    this.spaces += next - at;
    return next;
  }

  /** Skips one value of any type, without white space around it. */
  value(at: number, depth = 0): number {
    const byte = this.bytes[at];
    switch (byte) {
      case 0x7b: // {
        return depth >= this.#depthMax ? this.#tooDeep(at) : this.#object(at, depth + 1);
      case 0x5b: // [
        return depth >= this.#depthMax ? this.#tooDeep(at) : this.#array(at, depth + 1);
      case QUOTE:
        return this.string(at);
      case 0x74: // t
        return this.#word(at, "true");
      case 0x66: // f
        return this.#word(at, "false");
      case 0x6e: // n
        return this.#word(at, "null");
      default:
        return byte === 0x2d || isDigit(byte) ? this.number(at) : this.unexpected(at);
    }
  }

  /** Skips a string, from its opening quote to after its closing one. */
  string(at: number): number {
    const bytes = this.bytes;
    if (bytes[at] !== QUOTE) return this.unexpected(at);
    for (let next = at + 1; next < bytes.length;) {
      const byte = bytes[next]!;
      if (byte === QUOTE) return next + 1;
      if (byte < 0x20) return this.fail("unescaped control character in a string", next);
      if (byte === BACKSLASH) {
        next = this.#escape(next);
        if (next === FAULT) return FAULT;
        continue;
      }
      if (byte >= 0x80) this.nonAscii = true;
      next++;
    }
    return this.fail("unexpected end", bytes.length);
  }

  /** Skips a number. */
  number(at: number): number {
    let next = this.bytes[at] === 0x2d ? at + 1 : at;
    if (this.bytes[next] === 0x30) next++;
    else if ((next = this.#digits(next)) === FAULT) return FAULT;
    if (isDigit(this.bytes[next])) return this.fail("number with a leading zero", next);
    if (this.bytes[next] === 0x2e) {
      next = this.#digits(next + 1);
      if (next === FAULT) return FAULT;
    }
    if ((this.bytes[next]! | 0x20) !== 0x65) return next; // e, E
    const sign = this.bytes[next + 1];
    return this.#digits(sign === 0x2b || sign === 0x2d ? next + 2 : next + 1);
  }

  /** Records that the byte at `at`, or the end of the text, is not allowed there. */
  unexpected(at: number): typeof FAULT {
    return this.fail(at < this.bytes.length ? "unexpected character" : "unexpected end", at);
  }

  /** Records a fault. */
  fail(what: string, at: number): typeof FAULT {
    this.fault ??= { what, at };
    return FAULT;
  }

  #tooDeep(at: number): typeof FAULT {
    return this.fail(`nested deeper than ${this.#depthMax}`, at);
  }

  #object(at: number, depth: number): number {
    let next = this.space(at + 1);
    if (this.bytes[next] === 0x7d) return next + 1; // }
    while (true) {
      next = this.string(next);
      if (next === FAULT) return FAULT;
      next = this.space(next);
      if (this.bytes[next] !== 0x3a) return this.unexpected(next); // :
      next = this.value(this.space(next + 1), depth);
      if (next === FAULT) return FAULT;
      next = this.space(next);
      if (this.bytes[next] === 0x7d) return next + 1;
      if (this.bytes[next] !== 0x2c) return this.unexpected(next); // ,
      next = this.space(next + 1);
    }
  }

  #array(at: number, depth: number): number {
    let next = this.space(at + 1);
    if (this.bytes[next] === 0x5d) return next + 1; // ]
    while (true) {
      next = this.value(next, depth);
      if (next === FAULT) return FAULT;
      next = this.space(next);
      if (this.bytes[next] === 0x5d) return next + 1;
      if (this.bytes[next] !== 0x2c) return this.unexpected(next); // ,
      next = this.space(next + 1);
    }
  }

  #word(at: number, word: string): number {
    for (let i = 0; i < word.length; i++) {
      if (this.bytes[at + i] !== word.charCodeAt(i)) return this.unexpected(at + i);
    }
    return at + word.length;
  }

  #digits(at: number): number {
    let next = at;
    while (isDigit(this.bytes[next])) next++;
    return next === at ? this.unexpected(at) : next;
  }

  #escape(at: number): number {
    const letter = this.bytes[at + 1];
    if (letter === 0x75) { // u
      for (let i = at + 2; i < at + 2 + HEX_DIGITS_IN_ESCAPE; i++) {
        if (!isHexDigit(this.bytes[i])) return this.unexpected(i);
      }
      return at + 2 + HEX_DIGITS_IN_ESCAPE;
    }
    return isEscapeLetter(letter) ? at + 2 : this.unexpected(at + 1);
  }
}

/**
 * Removes the insignificant white space from valid JSON text; nothing else changes. Returns `json`
 * itself if there is none.
 */
export function compactJson(json: Uint8Array): Uint8Array {
  const compact = new Uint8Array(json.length);
  let length = 0;
  let inString = false;
  for (let i = 0; i < json.length; i++) {
    const byte = json[i]!;
    if (!inString && isSpace(byte)) continue;
    compact[length++] = byte;
    if (byte === QUOTE) inString = !inString;
    else if (byte === BACKSLASH) compact[length++] = json[++i]!;
  }
  return length === json.length ? json : compact.subarray(0, length);
}

const UTF_8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** True if `bytes` are well-formed UTF-8. */
export function isUtf8(bytes: Uint8Array): boolean {
  try {
    UTF_8.decode(bytes);
    return true;
  } catch {
    return false;
  }
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39;
}

function isHexDigit(byte: number | undefined): boolean {
  if (byte === undefined) return false;
  const lower = byte | 0x20;
  return isDigit(byte) || (lower >= 0x61 && lower <= 0x66);
}

function isEscapeLetter(byte: number | undefined): boolean {
  return byte !== undefined && '"\\/bfnrt'.includes(String.fromCharCode(byte));
}
