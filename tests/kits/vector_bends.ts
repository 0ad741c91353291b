/** What the vectors for devices are: each bends a plain, good message in one way. */

import type { SignedKind } from "../../src/core/signing_input.ts";

/** The kinds of message, by the names of the vectors' files. */
export const VECTOR_KINDS = [
  "reading",
  "acknowledgement",
  "command",
  "receipt",
  "response",
] as const;
export type VectorKind = (typeof VECTOR_KINDS)[number];

/** What a vector changes of a plain, good message. */
export interface Bend {
  readonly comment: string;
  readonly flag?: keyof typeof NOTES;
  readonly device?: string;
  readonly secret?: string;
  readonly payload?: string;
  readonly id?: string;
  readonly timestamp?: string;
  readonly status?: string;
  readonly now?: number;
  /** What is signed instead, where the message says something else. */
  readonly signed?: {
    readonly kind?: SignedKind;
    readonly device?: string;
    readonly secret?: string;
    readonly payload?: string;
    readonly id?: string;
    readonly timestamp?: string;
    readonly status?: string;
  };
  readonly upperCaseSignature?: boolean;
  /** Changes the message once it is signed. */
  readonly rewrite?: (message: string) => string;
  readonly invalid?: boolean;
}

export const NOW = 1_727_712_000;
export const DEVICE = "sensor_001";
export const SECRET = "supersecretkey123";
export const ID = "550e8400-e29b-41d4-a716-446655440000";
const NIL_ID = "00000000-0000-0000-0000-000000000000";

export const NOTES = {
  Normal: { bugType: "BASIC", description: "A message as most are." },
  EdgeCase: { bugType: "EDGE_CASE", description: "As long, as short or as odd as may be." },
  ExactBytes: {
    bugType: "FUNCTIONALITY",
    description:
      "The text is signed as it stands: a receiver that parses and writes it again fails.",
  },
  WhiteSpace: {
    bugType: "FUNCTIONALITY",
    description: "Insignificant white space in a payload is not signed, or signed as it stands.",
  },
  ModifiedField: {
    bugType: "AUTH_BYPASS",
    description: "A field is another than the one that was signed.",
  },
  Reflected: {
    bugType: "AUTH_BYPASS",
    description: "Signed by the right secret, as a message of another kind.",
  },
  Stale: { bugType: "REPLAY", description: "Genuine, and outside the tolerance of 300 s." },
  Malformed: { bugType: "MALFORMED_INPUT", description: "Not in the form that the protocol has." },
};

export const KINDS: { readonly [K in VectorKind]: SignedKind } = {
  reading: "message",
  acknowledgement: "acknowledgement",
  command: "message",
  receipt: "receipt",
  response: "response",
};

export const PAYLOADS: { readonly [K in VectorKind]: string } = {
  reading: '{"temperature":22.50,"humidity":60}',
  acknowledgement: '{"state":"done","result":22.0}',
  command: '{"action":"unlock","seconds":5.0}',
  receipt: '{"result":"rejected","code":"timestamp_out_of_range"}',
  response: '{"accepted":true}',
};

/** The vectors of a kind. */
export function bendsOf(kind: VectorKind): Bend[] {
  const own = kind === "response"
    ? RESPONSES
    : kind === "receipt"
    ? RECEIPTS
    : kind === "command"
    ? COMMANDS
    : kind === "reading"
    ? READINGS
    : ACKNOWLEDGEMENTS;
  const everywhere = [...GOOD, ...modified(kind), ...reflected(kind)];
  return [...everywhere, ...own, ...(kind === "response" ? [] : malformed(kind))];
}

const GOOD: readonly Bend[] = [
  { comment: "plain" },
  { comment: "a secret of one character", flag: "EdgeCase", secret: "s" },
  { comment: "a secret of 64 bytes, a block of SHA-256", flag: "EdgeCase", secret: "k".repeat(64) },
  {
    comment: "a secret of 65 bytes, which HMAC hashes first",
    flag: "EdgeCase",
    secret: "k".repeat(65),
  },
  { comment: "a secret that is not ASCII", flag: "EdgeCase", secret: "Schlüssel-ключ-鍵" },
  { comment: "a device id of 64 characters", flag: "EdgeCase", device: "d".repeat(64) },
  { comment: "a device id of one character", flag: "EdgeCase", device: "7" },
  { comment: "a device id with dots", flag: "EdgeCase", device: "plant.line-2.sensor_001" },
  { comment: "a message id in upper case", flag: "EdgeCase", id: ID.toUpperCase() },
  { comment: "a signature in upper case", flag: "EdgeCase", upperCaseSignature: true },
];

/** Each field bent by one, with the signature of what it was. */
function modified(kind: VectorKind): Bend[] {
  const bends: Bend[] = [
    { comment: "the timestamp", signed: { timestamp: String(NOW + 1) } },
    { comment: "the message id", signed: { id: ID.replace(/0$/, "1") } },
    { comment: "the payload", signed: { payload: PAYLOADS[kind].replace(/.}$/, "~}") } },
    { comment: "the device", signed: { device: `${DEVICE}1` } },
    { comment: "a character between device and timestamp", signed: { device: `${DEVICE}:` } },
    { comment: "the secret", signed: { secret: `${SECRET}4` } },
    { comment: "a payload cut short", signed: { payload: PAYLOADS[kind].slice(0, -1) } },
  ];
  if (kind === "response") bends.push({ comment: "the status", signed: { status: "201" } });
  return bends.map((bend) => ({ ...bend, flag: "ModifiedField", invalid: true }));
}

/** Signed as each other kind: what was captured there is sent here. */
function reflected(kind: VectorKind): Bend[] {
  const kinds: SignedKind[] = ["message", "acknowledgement", "receipt", "response"];
  return kinds.filter((other) => other !== KINDS[kind]).map((other) => ({
    comment: `signed as ${other === "message" ? "a reading or a command" : other}`,
    flag: "Reflected",
    signed: { kind: other },
    invalid: true,
  }));
}

const LARGE = JSON.stringify({ blob: "x".repeat(60_000) });

const EXACT: readonly Bend[] = [
  '{"a":22.0}',
  '{"a":1E2}',
  '{"a":12345678901234567890}',
  '{"a":-0}',
  '{"a":"\\u00e9é\\/"}',
  '{"b":1,"a":2}',
  '{"__proto__":1}',
  "[]",
  "null",
  '"text"',
].map((payload) => ({ comment: payload, flag: "ExactBytes" as const, payload }));

const FRESHNESS: readonly Bend[] = [
  { comment: "300 s behind", flag: "EdgeCase", now: NOW + 300 },
  { comment: "300 s ahead", flag: "EdgeCase", now: NOW - 300 },
  { comment: "301 s behind", flag: "Stale", now: NOW + 301, invalid: true },
  { comment: "301 s ahead", flag: "Stale", now: NOW - 301, invalid: true },
];

const READINGS: readonly Bend[] = [
  ...EXACT,
  ...FRESHNESS,
  { comment: "60,000 bytes", flag: "EdgeCase", payload: LARGE },
  {
    comment: "white space in the payload, signed without it",
    flag: "WhiteSpace",
    payload: '{ "a" : [ 1 ,\n 2 ] }',
    signed: { payload: '{"a":[1,2]}' },
  },
  {
    comment: "white space in the payload, signed with it",
    flag: "WhiteSpace",
    payload: '{ "a" : [ 1 ,\n 2 ] }',
  },
  {
    comment: "white space in a string is signed",
    flag: "WhiteSpace",
    payload: '{"a":"1 2"}',
    signed: { payload: '{"a":"12"}' },
    invalid: true,
  },
  {
    comment: "white space between the fields",
    flag: "WhiteSpace",
    rewrite: (message) => message.replaceAll('","', '" ,\r\n\t"'),
  },
  {
    comment: "more than 65,536 bytes",
    flag: "Malformed",
    payload: `"${"x".repeat(65_536)}"`,
    invalid: true,
  },
];

const ACKNOWLEDGEMENTS: readonly Bend[] = [
  ...["received", "running", "done", "failed", "refused"].map((state): Bend => (
    { comment: `"${state}"`, payload: `{"state":"${state}"}` }
  )),
  {
    comment: "a result, byte for byte",
    flag: "ExactBytes",
    payload: '{"state":"done","result":{"b":1E2,"a":22.0}}',
  },
  { comment: "a reason", payload: '{"state":"refused","reason":"the door is \\"open\\""}' },
  { comment: "a day late: there is no freshness", flag: "EdgeCase", now: NOW + 86_400 },
  { comment: "a device without a clock", flag: "EdgeCase", timestamp: "1000000000" },
  {
    comment: "a number that begins with 0",
    flag: "Malformed",
    timestamp: "0000000042",
    invalid: true,
  },
  {
    comment: "an unknown state",
    flag: "Malformed",
    payload: '{"state":"delivered"}',
    invalid: true,
  },
  { comment: "no state", flag: "Malformed", payload: '{"result":1}', invalid: true },
  {
    comment: "a payload of more than 16 KiB",
    flag: "Malformed",
    payload: JSON.stringify({ state: "done", result: "x".repeat(16_384) }),
    invalid: true,
  },
];

const COMMANDS: readonly Bend[] = [
  ...EXACT,
  ...FRESHNESS,
  { comment: "60,000 bytes", flag: "EdgeCase", payload: LARGE },
];

const RECEIPTS: readonly Bend[] = [
  {
    comment: "malformed",
    payload: '{"result":"rejected","code":"malformed","detail":"no \\"payload\\""}',
  },
  {
    comment: "without an id",
    flag: "EdgeCase",
    id: NIL_ID,
    payload: '{"result":"rejected","code":"malformed","detail":"not JSON"}',
  },
  ...["pending", "dead", "settled"].map((held): Bend => (
    {
      comment: `replayed, ${held}`,
      payload: `{"result":"rejected","code":"replayed","held":"${held}"}`,
    }
  )),
  {
    comment: "delivered",
    payload: `{"result":"delivered","status":200,"sha256":"${"ab".repeat(32)}"}`,
  },
  { comment: "dead", payload: '{"result":"dead","status":422}' },
  { comment: "a device whose clock is at 1970 believes it", flag: "EdgeCase", now: 42 },
];

const RESPONSES: readonly Bend[] = [
  { comment: "an empty body", flag: "EdgeCase", payload: "" },
  { comment: "a body that is no JSON", flag: "ExactBytes", payload: "<html>é</html>\n" },
  { comment: "status 204", status: "204" },
  {
    comment: "status and body run together",
    flag: "ModifiedField",
    status: "200",
    payload: "1{}",
    signed: { status: "2001", payload: "{}1" },
    invalid: true,
  },
  { comment: "60,000 bytes", flag: "EdgeCase", payload: LARGE },
];

/** Signed well, and written wrongly. */
function malformed(kind: VectorKind): Bend[] {
  const bends: Bend[] = [
    { comment: "a field missing", rewrite: (text) => text.replace(/"timestamp":\d+,/, "") },
    { comment: "a field twice", rewrite: (text) => text.replace(/("timestamp":\d+,)/, "$1$1") },
    { comment: "a field too many", rewrite: (text) => text.replace(/}$/, ',"x":1}') },
    { comment: "the timestamp as a string", rewrite: (text) => text.replace(/:(\d{10})/, ':"$1"') },
    { comment: "a timestamp of nine digits", timestamp: "172771200" },
    { comment: "a timestamp of thirteen digits", timestamp: "1727712000000" },
    { comment: "a signature of 63 digits", rewrite: (text) => text.replace(/."}$/, '"}') },
    { comment: "a signature that is not hex", rewrite: (text) => text.replace(/."}$/, 'g"}') },
    { comment: "cut short", rewrite: (text) => text.slice(0, -1) },
    { comment: "a byte order mark", rewrite: (text) => `\ufeff${text}` },
    { comment: "nothing", rewrite: () => "" },
  ];
  if (kind === "reading") {
    bends.push({ comment: "a UUID of version 1", id: ID.replace("-41", "-11") });
  }
  return bends.map((bend) => ({ ...bend, flag: "Malformed", invalid: true }));
}
