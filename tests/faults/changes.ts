/** Every way in which a mutant differs from its original, by name. */

import type { Dice } from "./dice.ts";

/** A field of a message: its name and its value, both as JSON text. */
export type Field = readonly [name: string, value: string];

/** A valid message, taken apart, and where it came. */
export interface Original {
  readonly topic: string;
  readonly fields: readonly Field[];
  readonly message: Uint8Array;
}

/** One kind of change; `other` is another valid message, to take from. */
type Change<T> = (subject: T, dice: Dice, other: Original) => T;

/** Kinds of change by name. */
export type Changes<T> = Readonly<Record<string, Change<T>>>;

/** The message of some fields. */
export function textOf(fields: readonly Field[]): string {
  return `{${fields.map(([name, value]) => `${name}:${value}`).join(",")}}`;
}

/** Changes of fields: their values, names, number and order. */
export const CHANGES_OF_FIELDS: Changes<readonly Field[]> = {
  "two values swapped": (fields, dice) => {
    const [a, b] = [dice.below(fields.length), dice.below(fields.length)];
    return fields.map(([name, value], i) =>
      i === a ? [name, fields[b]![1]] : i === b ? [name, fields[a]![1]] : [name, value]
    );
  },
  "fields in another order": (fields, dice) => {
    const [a, b] = [dice.below(fields.length), dice.below(fields.length)];
    return fields.map((field, i) => fields[i === a ? b : i === b ? a : i] ?? field);
  },
  "a field missing": (fields, dice) => fields.toSpliced(dice.below(fields.length), 1),
  "a field doubled": (fields, dice) =>
    fields.toSpliced(dice.below(6), 0, ...fields.slice(dice.below(fields.length)).slice(0, 1)),
  "a field of another message added": (fields, dice, other) =>
    fields.toSpliced(dice.below(6), 0, dice.pick(other.fields)),
  "a sixth field": (fields, dice) =>
    fields.toSpliced(dice.below(6), 0, [dice.pick(SIXTH_NAMES), dice.pick(KINDS)]),
  "a field renamed": (fields, dice) => {
    const at = dice.below(fields.length);
    const rename = dice.pick([otherCase, lookAlike, invisible, escaped, respaced]);
    return fields.map(([name, value], i) => i === at ? [rename(name, dice), value] : [name, value]);
  },
  "all values but one of another message": (fields, dice, other) => {
    const own = dice.below(fields.length);
    return fields.map((field, i) => i === own ? field : other.fields[i] ?? field);
  },
  "characters moved to the next field": (fields, dice) => moveBoundary(fields, dice),
  "a value of another message": inAny((_value, _dice, other) => other),
  "a value of another kind": inAny((_value, dice) => dice.pick(KINDS)),
  "a value wrapped": inAny((value, dice) =>
    dice.pick([`[${value}]`, `{"":${value}}`, JSON.stringify(value), `(${value})`])
  ),
  "white space around a value": inAny((value, dice) =>
    dice.pick(SPACES) + value + dice.pick(SPACES)
  ),
  "white space in a value": inAny(respaced),
  "a character escaped": inAny(escaped),
  "a letter in the other case": inAny(otherCase),
  "a value in capitals": inAny((value) => value.toUpperCase()),
  "a digit changed": inAny((value, dice) =>
    replaceOne(value, dice, [/[0-9]/g, () => `${dice.below(10)}`])
  ),
  "a look-alike": inAny(lookAlike),
  "an invisible character": inAny(invisible),
  "a value normalised": inAny((value, dice) => value.normalize(dice.pick(["NFC", "NFD", "NFKC"]))),
  "a number spelled otherwise": inAny((value, dice) =>
    replaceOne(value, dice, [NUMBER, (number) => respelled(number, dice)])
  ),
  "another device": inThe('"device_id"', (_value, dice) => JSON.stringify(dice.pick(DEVICES))),
  "another time": inThe(
    '"timestamp"',
    (value, dice) => `${Number(value) + dice.below(2_001) - 1_000}`,
  ),
  "a time spelled otherwise": inThe('"timestamp"', respelled),
  "a message_id spelled otherwise": inThe(
    '"message_id"',
    (value, dice) => dice.pick(ID_SPELLINGS)(value),
  ),
  "a signature spelled otherwise": inThe(
    '"signature"',
    (value, dice) => dice.pick(HEX_SPELLINGS)(value),
  ),
  "a payload of other nesting": inThe('"payload"', (value, dice) => dice.pick(NESTINGS)(value)),
};

/** Changes of the whole text. */
export const CHANGES_OF_TEXT: Changes<string> = {
  "white space around it": (text, dice) => dice.pick(SPACES) + text + dice.pick(SPACES),
  "white space in it": respaced,
  "a byte order mark": (text) => `\ufeff${text}`,
  "in an array": (text) => `[${text}]`,
  "in an object": (text) => `{"message":${text}}`,
  "in a string": (text) => JSON.stringify(text),
  "parsed and written again": (text) => rewritten(text),
  "parsed and indented": (text) => rewritten(text, 2),
  "twice": (text, dice) => text + dice.pick(["", ",", "\n", "\0"]) + text,
  "something behind it": (text, dice) => text + dice.pick(['{"payload":0}', "{}", "x", "\0", "//"]),
  "a comment": (text, dice) => put(text, dice, dice.pick(["/**/", "//\n", "#\n", "<!---->"])),
  "a trailing comma": (text) => text.replace(/\}$/, ",}"),
  "single quotes": (text) => text.replaceAll('"', "'"),
  "the other half of another message": (text, dice, other) => {
    const at = dice.below(text.length);
    return text.slice(0, at) + textOf(other.fields).slice(at);
  },
};

/** Changes of the topic, and so of the identity behind it. */
export const CHANGES_OF_TOPIC: Changes<string> = {
  "on another device's topic": (_topic, dice) => `device/${dice.pick(DEVICES)}/data`,
  "on the topic of another message": (_topic, _dice, other) => other.topic,
  "on an odd topic": (topic, dice) =>
    dice.pick(["", "device//data", `${topic}/`, `/${topic}`, `${topic}/data`, "device/data"]),
  "on a topic in capitals": (topic) => topic.toUpperCase(),
};

const SIXTH_NAMES = ['"alg"', '"__proto__"', '"Payload"', '"payload "', '"payload\\u0000"', '""'];
const KINDS = [
  "null",
  "true",
  "0",
  '""',
  "[]",
  "{}",
  "-1",
  "1e400",
  '"null"',
  "NaN",
  "undefined",
  "",
];
const SPACES = ["", "", " ", "\t", "\n", "\r\n", "   ", "\u00a0", "\u000b", "\u2003", "\ufeff"];
const INVISIBLE = [
  "\u200b",
  "\u200d",
  "\u00ad",
  "\ufeff",
  "\u202e",
  "\0",
  "\u0001",
  "\u007f",
  "\u0301",
];
const NUMBER = /-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?/g;
const LOOK_ALIKES: Readonly<Record<string, string>> = {
  a: "а",
  c: "с",
  e: "е",
  i: "і",
  o: "о",
  p: "р",
  s: "ѕ",
  x: "х",
  y: "у",
  d: "ԁ",
  "0": "０",
  "1": "１",
  "5": "５",
  "8": "８",
  '"': "”",
  "-": "‐",
  ":": "：",
  "{": "｛",
};
const DEVICES = [
  "sensor_001",
  "sensor_002",
  "sensor_003",
  "SENSOR_001",
  "Sensor_001",
  "sensor_001 ",
  " sensor_001",
  "sensor_0011",
  "sensor_00",
  "sensor_001\0",
  "sensor_001/data",
  "sensor_001.",
  "ѕensor_001",
  "+",
  "#",
  "",
  "../sensor_001",
  "x".repeat(65),
  "__proto__",
  "constructor",
  "toString",
];
type Spelling = (value: string) => string;

/** Of a JSON string that holds a UUID. */
const ID_SPELLINGS: readonly Spelling[] = [
  (value) => value.toUpperCase(),
  (value) => value.replaceAll("-", ""),
  (value) => value.replaceAll("-", "_"),
  (value) => `"{${value.slice(1, -1)}}"`,
  (value) => `"urn:uuid:${value.slice(1)}`,
  (value) => value.slice(1, -1),
  (value) => `${value.slice(0, -1)}\\n"`,
  (value) => value.replace(/-[0-9a-f]{4}-/i, "-1111-"),
  (value) => value.replace(/(-[0-9a-f]{4})-[0-9a-f]/i, "$1-0"),
  () => '"00000000-0000-0000-0000-000000000000"',
  () => '"ffffffff-ffff-4fff-bfff-ffffffffffff"',
];

/** Of a JSON string that holds hex digits. */
const HEX_SPELLINGS: readonly Spelling[] = [
  (value) => value.toUpperCase(),
  (value) => value.slice(0, -2) + '"',
  (value) => value.slice(0, -3) + '"',
  (value) => `${value.slice(0, -1)}00"`,
  () => `"${"0".repeat(64)}"`,
  () => `"${"f".repeat(64)}"`,
  (value) => `"0x${value.slice(1)}`,
  (value) => `"sha256=${value.slice(1)}`,
  (value) => `" ${value.slice(1)}`,
  (value) => value.replaceAll(/(..)/g, "$1:"),
  () => `"${"A".repeat(43)}="`,
  (value) => value.slice(1, -1),
  () => '""',
];

/** Of any JSON. */
const NESTINGS: readonly Spelling[] = [
  (value) => `[${value}]`,
  (value) => `{"payload":${value}}`,
  (value) => value.replace(/^[[{](.*)[\]}]$/s, "$1"),
  (value) => "[".repeat(70) + value + "]".repeat(70),
  (value) => "[".repeat(1_000) + value,
  (value) => value.replace(/^\{/, '{"a":1,'),
  (value) => value.replace(/\}$/, ',"a":1}'),
  (value) => `${value},"payload":${value}`,
  (value) => value.replaceAll(/[[\]]/g, ""),
];

/** A change of the value of any one field. */
function inAny(by: (value: string, dice: Dice, other: string) => string): Change<readonly Field[]> {
  return (fields, dice, other) => {
    const at = dice.below(fields.length);
    return fields.map(([name, value], i) =>
      i === at ? [name, by(value, dice, other.fields[i % 5]![1])] : [name, value]
    );
  };
}

/** A change of the value of the field that is called `field`. */
function inThe(field: string, by: (value: string, dice: Dice) => string): Change<readonly Field[]> {
  return (fields, dice) =>
    fields.map(([name, value]) => name === field ? [name, by(value, dice)] : [name, value]);
}

/** Shifts the boundary between two fields that are signed one after the other. */
function moveBoundary(fields: readonly Field[], dice: Dice): readonly Field[] {
  const [at, count] = [dice.below(3), 1 + dice.below(3)];
  const [left, right] = [fields[at], fields[at + 1]];
  if (left === undefined || right === undefined) return fields;
  const [leftText, rightText] = [bare(left[1]), bare(right[1])];
  const moved = dice.below(2) === 0
    ? [leftText.slice(0, -count), leftText.slice(-count) + rightText]
    : [leftText + rightText.slice(0, count), rightText.slice(count)];
  return fields.map((field, i): Field => {
    if (i !== at && i !== at + 1) return field;
    const text = moved[i - at]!;
    return [field[0], field[1].startsWith('"') ? `"${text}"` : text];
  });
}

function bare(value: string): string {
  return value.startsWith('"') ? value.slice(1, -1) : value;
}

function respaced(text: string, dice: Dice): string {
  const between = dice.below(2) === 0 ? /[,:{}[\]]/g : /[a-z0-9]/g;
  return replaceOne(text, dice, [between, (token) => token + dice.pick(SPACES)]);
}

function otherCase(text: string, dice: Dice): string {
  return replaceOne(text, dice, [
    /[a-z]/gi,
    (letter) => letter === letter.toUpperCase() ? letter.toLowerCase() : letter.toUpperCase(),
  ]);
}

function lookAlike(text: string, dice: Dice): string {
  return replaceOne(text, dice, [/[aceiopsxyd0158":{-]/g, (letter) => LOOK_ALIKES[letter]!]);
}

function invisible(text: string, dice: Dice): string {
  return put(text, dice, dice.pick(INVISIBLE));
}

/** One character as an escape, or one escape as its character. */
function escaped(text: string, dice: Dice): string {
  const spell = (found: string) => {
    if (found.length === 1) return `\\u${found.charCodeAt(0).toString(16).padStart(4, "0")}`;
    const [, hex] = /^\\u([0-9a-f]{4})$/i.exec(found) ?? [];
    return hex === undefined ? found.slice(1) : String.fromCharCode(parseInt(hex, 16));
  };
  return replaceOne(text, dice, [/\\u[0-9a-f]{4}|\\.|[a-z0-9_é/-]/gi, spell]);
}

function respelled(number: string, dice: Dice): string {
  const value = Number(number);
  return dice.pick([
    `${number}.0`,
    `${number}e0`,
    `${number}E+0`,
    `+${number}`,
    `-${number}`,
    `0${number}`,
    `${number}0`,
    ` ${number}`,
    `"${number}"`,
    `0x${value.toString(16)}`,
    value.toExponential(),
    `${value * 1000}`,
    `${number}n`,
    number.replace(/(.)/, "$1_"),
    number.slice(0, -1),
    String(value),
    `${number}.`,
    number.replaceAll(/[0-9]/g, (digit) => String.fromCharCode(0xff10 + Number(digit))),
  ]);
}

/** As a gateway that parses and writes again would have it. */
function rewritten(text: string, indent?: number): string {
  try {
    return JSON.stringify(JSON.parse(text), null, indent);
  } catch {
    return text;
  }
}

/** Replaces one of the places that match. */
function replaceOne(
  text: string,
  dice: Dice,
  [pattern, by]: readonly [RegExp, (found: string) => string],
): string {
  const places = [...text.matchAll(pattern)];
  if (places.length === 0) return text;
  const { 0: found, index } = dice.pick(places);
  return text.slice(0, index) + by(found) + text.slice(index + found.length);
}

function put(text: string, dice: Dice, addition: string): string {
  const at = dice.below(text.length + 1);
  return text.slice(0, at) + addition + text.slice(at);
}
