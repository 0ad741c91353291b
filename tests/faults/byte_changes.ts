/** Every way in which the bytes of a mutant differ from its original's, by name. */

import type { Changes } from "./changes.ts";

/** Changes of bytes, which need not leave text behind. */
export const CHANGES_OF_BYTES: Changes<Uint8Array> = {
  "a bit flipped": (bytes, dice) => {
    const at = dice.below(bytes.length);
    return bytes.with(at, bytes[at]! ^ 1 << dice.below(8));
  },
  "a byte changed": (bytes, dice) => bytes.with(dice.below(bytes.length), dice.below(256)),
  "a byte inserted": (bytes, dice) =>
    spliced(bytes, dice.below(bytes.length), { add: [dice.below(256)] }),
  "bytes deleted": (bytes, dice) =>
    spliced(bytes, dice.below(bytes.length), { drop: 1 + dice.below(8) }),
  "cut short": (bytes, dice) => bytes.slice(0, dice.below(bytes.length)),
  "the beginning cut off": (bytes, dice) => bytes.slice(dice.below(bytes.length)),
  "bytes doubled": (bytes, dice) => {
    const at = dice.below(bytes.length);
    return spliced(bytes, at, { add: bytes.subarray(at, at + 1 + dice.below(60)) });
  },
  "bytes reversed": (bytes, dice) => {
    const [at, drop] = [dice.below(bytes.length), 2 + dice.below(8)];
    return spliced(bytes, at, { drop, add: bytes.slice(at, at + drop).reverse() });
  },
  "two bytes swapped": (bytes, dice) => {
    const [a, b] = [dice.below(bytes.length), dice.below(bytes.length)];
    return bytes.with(a, bytes[b]!).with(b, bytes[a]!);
  },
  "bad UTF-8": (bytes, dice) =>
    spliced(bytes, dice.below(bytes.length), { add: dice.pick(BAD_UTF8) }),
  "an overlong character": (bytes, dice) => {
    const at = dice.below(bytes.length);
    const byte = bytes[at]!;
    return spliced(bytes, at, { drop: 1, add: [0xc0 | byte >> 6, 0x80 | byte & 0x3f] });
  },
  "white space of any kind": (bytes, dice) =>
    spliced(bytes, dice.below(bytes.length), { add: [dice.pick(SPACE_BYTES)] }),
  "a hole of zeros": (bytes, dice) =>
    spliced(bytes, dice.below(bytes.length), { add: new Uint8Array(1 + dice.below(4)) }),
  "as UTF-16": (bytes) => {
    const wide = new Uint8Array(2 * bytes.length);
    bytes.forEach((byte, i) => wide[2 * i] = byte);
    return wide;
  },
  "longer": (bytes, dice) => {
    const length = dice.below(16) === 0 ? 65_537 : bytes.length + 1 + dice.below(8);
    const add = new Uint8Array(Math.max(0, length - bytes.length)).fill(0x20);
    return spliced(bytes, bytes.length, { add });
  },
};

const SPACE_BYTES = [0x20, 0x09, 0x0a, 0x0d, 0x0b, 0x0c, 0x00, 0x1c, 0x85, 0xa0];
const BAD_UTF8 = [
  [0xff],
  [0x80],
  [0xc0, 0x80],
  [0xed, 0xa0, 0x80],
  [0xf4, 0x90, 0x80, 0x80],
  [0xe2, 0x82],
  [0xf8, 0x88, 0x80, 0x80, 0x80],
];

function spliced(
  bytes: Uint8Array,
  at: number,
  { drop = 0, add = [] }: { drop?: number; add?: ArrayLike<number> },
): Uint8Array {
  const rest = bytes.subarray(at + drop);
  const result = new Uint8Array(at + add.length + rest.length);
  result.set(bytes.subarray(0, at));
  result.set(add, at);
  result.set(rest, at + add.length);
  return result;
}
