/**
 * Why a signature is wrong: the usual mistakes are made on purpose until one gives the signature
 * that is in the message.
 *
 * The rules are:
 * - the explanation with the fewest mistakes wins;
 * - nothing is decided here: what verifies is core's business, and this runs when it did not.
 */

import type { Envelope } from "../../core/envelope.ts";
import { bytesOfHex } from "../../core/signature.ts";
import { type SignedFields, signingInput } from "../../core/signing_input.ts";
import { payloadVariants, separatorsMistake } from "./payload_variants.ts";

/** A well-formed message whose signature does not verify, and what may explain it. */
interface Suspect {
  readonly envelope: Envelope;
  /** The shared secret that it should be signed with. */
  readonly secret: string;
  /** Secrets of other devices, by device id. */
  readonly otherSecrets: ReadonlyMap<string, string>;
  /** The message's field names in their order. */
  readonly fieldNames: readonly string[];
  /** The timestamp as sent, if it had to be repaired. */
  readonly unrepairedTimestamp: string | undefined;
}

/** Most mistakes that are looked for in one signature. */
const SLIPS_MAX = 3;

/** What was done to get the signature, a sentence each; undefined if nothing explains it. */
export async function signatureMistakes(suspect: Suspect): Promise<readonly string[] | undefined> {
  const texts = textsOf(suspect);
  const algorithms = algorithmsOf(suspect);
  const wanted = suspect.envelope.signature.toHex();
  for (let weight = 0; weight <= SLIPS_MAX; weight++) {
    for (const text of texts) {
      const fitting = algorithms.filter((algorithm) => text.weight + algorithm.weight === weight);
      const input = fitting.length > 0 ? text.value() : utf8("");
      for (const algorithm of fitting) {
        const signature = (await algorithm.value(input)).toHex();
        if (signature === wanted) return [...text.mistakes, ...algorithm.mistakes];
      }
    }
  }
  return undefined;
}

/** A way to do one step of signing. */
interface Way<T> {
  readonly value: T;
  /** Empty if it is the right way. */
  readonly mistakes: readonly string[];
  /** How unlikely it is; the number of mistakes, or `SLIPS_MAX` for what comes in great numbers. */
  readonly weight: number;
}

function right<T>(value: T): Way<T> {
  return { value, mistakes: [], weight: 0 };
}

function wrong<T>(value: T, mistake: string, options: { weight?: number } = {}): Way<T> {
  return { value, mistakes: [mistake], weight: options.weight ?? 1 };
}

/** Every two ways together, as far as they are likely enough. */
function cross<A, B, C>(as: readonly Way<A>[], bs: readonly Way<B>[], join: (a: A, b: B) => C) {
  const ways: Way<C>[] = [];
  for (const a of as) {
    for (const b of bs) {
      const mistakes = [...new Set([...a.mistakes, ...b.mistakes])];
      const weight = a.weight + b.weight -
        (a.mistakes.length + b.mistakes.length - mistakes.length);
      if (weight <= SLIPS_MAX) ways.push({ value: join(a.value, b.value), mistakes, weight });
    }
  }
  return ways;
}

/** The parts of a signing input, as text. */
interface Parts extends SignedFields {
  readonly payload: string;
}

/** Texts that may have been signed; made when they are asked for. */
function textsOf({ envelope, fieldNames, unrepairedTimestamp }: Suspect) {
  const { deviceId, timestamp, messageId } = envelope;
  const payload = text(envelope.compactPayload);
  const sent: Parts = { deviceId, timestamp, messageId, payload };
  let parts = [right(sent)];
  parts = cross(
    parts,
    timestampsOf(timestamp, unrepairedTimestamp),
    (parts, timestamp) => ({ ...parts, timestamp }),
  );
  parts = cross(
    parts,
    messageIdsOf(messageId),
    (parts, messageId) => ({ ...parts, messageId }),
  );
  parts = cross(parts, payloadsOf(envelope, payload), (parts, payload) => ({ ...parts, payload }));
  return cross(layoutsOf(fieldNames), parts, (layout, parts) => () => layout(parts));
}

function timestampsOf(timestamp: string, unrepaired: string | undefined): Way<string>[] {
  if (unrepaired !== undefined) {
    const mistake = `The signed timestamp is ${unrepaired} too: sign the ten digits that are sent`;
    return [right(timestamp), wrong(unrepaired, mistake)];
  }
  const mistake = "The signed timestamp has milliseconds: sign the ten digits that are sent";
  const milliseconds = Array.from({ length: 1000 }, (_, ms) => String(ms).padStart(3, "0"));
  return [
    right(timestamp),
    wrong(`${timestamp}.0`, "The signed timestamp has a fraction: sign the digits that are sent"),
    wrong(`${timestamp}000`, mistake),
    ...milliseconds.map((ms) => wrong(timestamp + ms, mistake, { weight: SLIPS_MAX })),
  ];
}

function messageIdsOf(messageId: string): Way<string>[] {
  const spellings = [
    [messageId.toLowerCase(), "in lower case"],
    [messageId.toUpperCase(), "in upper case"],
    [messageId.replaceAll("-", ""), "without its dashes"],
  ] as const;
  return [
    right(messageId),
    ...spellings.filter(([spelling]) => spelling !== messageId)
      .map(([spelling, how]) =>
        wrong(spelling, `The signed message_id is ${how}: sign it as it is sent`)
      ),
  ];
}

function payloadsOf(envelope: Envelope, compact: string): Way<string>[] {
  const ways = payloadVariants(compact)
    .map(({ text, mistakes }) => ({ value: text, mistakes, weight: mistakes.length }));
  const asItStands = envelope.payload === envelope.compactPayload
    ? []
    : [right(text(envelope.payload))];
  return [...ways, ...asItStands];
}

const JOINTS = [".", "|", ":", ",", ";", " ", "\n", "-", "_", "/", "&"];

/** How the parts may have been put together. */
function layoutsOf(
  fieldNames: readonly string[],
): Way<(parts: Parts) => Uint8Array<ArrayBuffer>>[] {
  const whole = "The signature is over a whole JSON message: " +
    "sign device_id + timestamp + message_id + payload, nothing else";
  const spaced = { mistakes: [whole, separatorsMistake(", ", ": ")], weight: 2 };
  return [
    right((parts) => signingInput(parts, utf8(parts.payload))),
    ...JOINTS.map((joint) =>
      wrong(
        (parts: Parts) => utf8(listOf(parts).join(joint)),
        `The signed fields are joined by ${
          JSON.stringify(joint)
        }: they must follow each other directly`,
      )
    ),
    wrong(
      ({ payload }) => utf8(payload),
      "The signature is over the payload alone: sign device_id + timestamp + message_id + payload",
    ),
    wrong(
      (parts) => utf8(listOf(parts).slice(1).join("")),
      "The signature leaves out the device_id: sign device_id + timestamp + message_id + payload",
    ),
    ...[fieldNames, fieldNames.toSorted()].flatMap((names) => [
      wrong((parts: Parts) => utf8(objectOf(parts, { names, comma: ",", colon: ":" })), whole),
      {
        ...spaced,
        value: (parts: Parts) => utf8(objectOf(parts, { names, comma: ", ", colon: ": " })),
      },
    ]),
  ];
}

function listOf({ deviceId, timestamp, messageId, payload }: Parts): string[] {
  return [deviceId, timestamp, messageId, payload];
}

/** The message as a JSON object without its signature. */
function objectOf(
  parts: Parts,
  { names, comma, colon }: { names: readonly string[]; comma: string; colon: string },
): string {
  const values: Record<string, string> = {
    device_id: `"${parts.deviceId}"`,
    timestamp: parts.timestamp,
    message_id: `"${parts.messageId}"`,
    payload: parts.payload,
  };
  const fields = names.filter((name) => values[name] !== undefined)
    .map((name) => `"${name}"${colon}${values[name]}`);
  return `{${fields.join(comma)}}`;
}

type Algorithm = (input: Uint8Array<ArrayBuffer>) => Promise<Uint8Array>;

/** How a signature may have been made of a text: the keys and hashes. */
function algorithmsOf({ secret, otherSecrets }: Suspect): Way<Algorithm>[] {
  const key = utf8(secret);
  const sha256 = "The signature is a plain SHA-256, not HMAC-SHA256 with the secret as its key";
  return [
    right((input) => hmac(key, input)),
    ...otherKeysOf(secret).map(([bytes, mistake]) =>
      wrong<Algorithm>((input) => hmac(bytes, input), mistake)
    ),
    wrong((input) => digest(input), sha256),
    wrong((input) => digest(joined(key, input)), sha256),
    wrong((input) => digest(joined(input, key)), sha256),
    wrong(
      (input) => hmac(input, key),
      "The HMAC's key and text are swapped: the secret is the key",
    ),
    ...[...otherSecrets].map(([deviceId, other]) =>
      wrong<Algorithm>(
        (input) => hmac(utf8(other), input),
        `The signature is made with the secret of ${deviceId}`,
        { weight: SLIPS_MAX },
      )
    ),
  ];
}

/** What else may be taken for the key, and the sentence that says so. */
function otherKeysOf(secret: string): [bytes: Uint8Array<ArrayBuffer>, mistake: string][] {
  const strip = "strip what its file has at the end";
  const decoded = "before it became the key: the key is the secret's text as it is";
  const keys: [Uint8Array<ArrayBuffer> | undefined, string][] = [
    [utf8(`${secret}\n`), `The key is the secret and a newline: ${strip}`],
    [utf8(`${secret}\r\n`), `The key is the secret, a carriage return and a newline: ${strip}`],
    [utf8(`"${secret}"`), "The key is the secret in quotation marks: take them off"],
    [utf8(secret.trim()), "The key is the secret without the white space around it"],
    [bytesOfHex(secret), `The secret was decoded from hex ${decoded}`],
    [bytesOfBase64(secret), `The secret was decoded from base64 ${decoded}`],
  ];
  return keys.filter((key): key is [Uint8Array<ArrayBuffer>, string] =>
    key[0] !== undefined && key[0].length > 0 && key[0].toHex() !== utf8(secret).toHex()
  );
}

/** The bytes of base64 or base64url text, padded or not; undefined if it is neither. */
export function bytesOfBase64(text: string): Uint8Array<ArrayBuffer> | undefined {
  const plain = text.replaceAll("-", "+").replaceAll("_", "/");
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(plain)) return undefined;
  try {
    return Uint8Array.from(atob(plain), (character) => character.charCodeAt(0));
  } catch {
    return undefined;
  }
}

async function hmac(
  key: Uint8Array<ArrayBuffer>,
  input: Uint8Array<ArrayBuffer>,
): Promise<Uint8Array> {
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const imported = await crypto.subtle.importKey("raw", key, algorithm, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", imported, input));
}

async function digest(input: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", input));
}

function joined(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(parts.flatMap((part) => [...part]));
}

function utf8(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

function text(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}
