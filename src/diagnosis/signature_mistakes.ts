/**
 * Why a signature is wrong: the usual mistakes are made on purpose until one gives the signature
 * that is in the message.
 *
 * The rules are:
 * - the explanation with the fewest mistakes wins;
 * - the search ends after so many trials or so much time, and says how many there were;
 * - nothing is decided here: what verifies is core's business, and this runs when it did not.
 */

import type { Envelope } from "../core/envelope.ts";
import { payloadVariants } from "./payload_variants.ts";
import { ENCODINGS, layoutsOf, type Parts } from "./signed_layouts.ts";
import { type Algorithm, algorithmsOf } from "./signing_keys.ts";
import { MISTAKES_MAX, right, type Way, wrong } from "./way.ts";

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

/** How long it is looked for mistakes. */
export interface SearchLimits {
  readonly trialsMax: number;
  readonly timeMaxMs: number;
}

/** What a command may take. */
export const SEARCH_LIMITS: SearchLimits = { trialsMax: 200_000, timeMaxMs: 10_000 };

/** What was found, and how much was tried. */
interface SearchResult {
  /** What was done to get the signature, a sentence each; undefined if nothing explains it. */
  readonly mistakes: readonly string[] | undefined;
  readonly trials: number;
  /** False if a limit ended the search. */
  readonly complete: boolean;
}

/** Looks for the mistakes that give a message's signature. */
export function findSignatureMistakes(suspect: Suspect, limits = SEARCH_LIMITS): SearchResult {
  const wanted = suspect.envelope.signature.toHex();
  const endMs = performance.now() + limits.timeMaxMs;
  let trials = 0;
  for (const { input, algorithm, mistakes } of attempts(suspect)) {
    if (trials === limits.trialsMax || (trials % 64 === 0 && performance.now() > endMs)) {
      return { mistakes: undefined, trials, complete: false };
    }
    trials++;
    if (algorithm(input) === wanted) {
      return { mistakes: [...new Set(mistakes())], trials, complete: true };
    }
  }
  return { mistakes: undefined, trials, complete: true };
}

/** One way to sign the message wrongly. */
interface Attempt {
  readonly input: Uint8Array;
  readonly algorithm: Algorithm;
  readonly mistakes: () => readonly string[];
}

/** Every way, those with fewer mistakes first. */
function* attempts(suspect: Suspect): Generator<Attempt> {
  const { envelope, secret, otherSecrets } = suspect;
  const algorithms = Map.groupBy(algorithmsOf(secret, otherSecrets), ({ weight }) => weight);
  for (let weight = 0; weight <= MISTAKES_MAX; weight++) {
    const texts = textsOf(suspect, weight);
    for (let inPayload = 0; inPayload <= weight; inPayload++) {
      for (const payload of payloadsOf(envelope, inPayload)) {
        for (const text of texts) {
          if (text.weight > weight - inPayload) break; // they are in order
          const fitting = algorithms.get(weight - inPayload - text.weight);
          const input = fitting && text.value(payload.text);
          if (input === undefined) continue;
          for (const algorithm of fitting!) {
            const mistakes = () => [text, payload, algorithm].flatMap(({ mistakes }) => mistakes);
            yield { input, algorithm: algorithm.value, mistakes };
          }
        }
      }
    }
  }
}

function* payloadsOf({ payload, compactPayload }: Envelope, count: number) {
  yield* payloadVariants(textOf(compactPayload), count);
  if (count === 0 && payload !== compactPayload) yield { text: textOf(payload), mistakes: [] };
}

/** How the bytes under the signature may be made of a payload. */
function textsOf(
  { envelope, fieldNames, unrepairedTimestamp }: Suspect,
  weightMax: number,
): Way<(payload: string) => Uint8Array | undefined>[] {
  const { deviceId, timestamp, messageId } = envelope;
  const cross = crossUpTo(weightMax);
  const heads = cross(
    timestampsOf(timestamp, unrepairedTimestamp),
    messageIdsOf(messageId),
    (timestamp, message_id) => ({ device_id: deviceId, timestamp, message_id }),
  );
  const texts = cross(
    layoutsOf(fieldNames),
    heads,
    (layout, head) => (payload: string) => layout({ ...head, payload } satisfies Parts),
  );
  return cross(texts, ENCODINGS, (text, encode) => (payload: string) => encode(text(payload)))
    .sort((one, other) => one.weight - other.weight);
}

/** Makes every two ways together, as far as they are likely enough. */
function crossUpTo(weightMax: number) {
  return <A, B, C>(as: readonly Way<A>[], bs: readonly Way<B>[], join: (a: A, b: B) => C) => {
    const ways: Way<C>[] = [];
    for (const a of as) {
      for (const b of bs) {
        const weight = a.weight + b.weight;
        if (weight > weightMax) continue;
        const mistakes = [...a.mistakes, ...b.mistakes];
        ways.push({ value: join(a.value, b.value), mistakes, weight });
      }
    }
    return ways;
  };
}

/** How far apart two looks at a clock may be. */
const SECONDS_APART = [1, -1, 2, -2];

function timestampsOf(timestamp: string, unrepaired: string | undefined): Way<string>[] {
  const digits = "sign the ten digits that are sent";
  const milliseconds = `The signed timestamp has milliseconds: ${digits}`;
  const seconds = Number(timestamp);
  const exponent = seconds.toExponential();
  const iso = new Date(seconds * 1000).toISOString();
  const spellings: [string, string][] = [
    [`${timestamp}.0`, "a fraction"],
    [`${timestamp}.000000`, "a fraction"],
    [`${timestamp}000`, "milliseconds"],
    [`${timestamp}000000`, "microseconds"],
    [`${timestamp}000000000`, "nanoseconds"],
    ...[exponent, exponent.replace("+", ""), exponent.replace("+", "+0")]
      .flatMap((text) => [text, text.toUpperCase()]).map((text): [string, string] => [
        text,
        "an exponent",
      ]),
    [`${Number(seconds.toPrecision(6)).toExponential().replace("+", "+0")}`, "an exponent"],
    [`"${timestamp}"`, "quotation marks"],
    [iso, "the form of a date"],
    [iso.replace(".000", ""), "the form of a date"],
    [iso.replace(".000Z", "+00:00"), "the form of a date"],
  ];
  return [
    right(timestamp),
    ...unrepaired === undefined
      ? []
      : [wrong(unrepaired, `The signed timestamp is ${unrepaired} too: ${digits}`)],
    ...spellings.map(([text, what]) => wrong(text, `The signed timestamp has ${what}: ${digits}`)),
    ...SECONDS_APART.map((apart) => {
      const other = String(seconds + apart);
      return wrong(other, `The signed timestamp is another, ${other}: ask the clock once`);
    }),
    ...Array.from({ length: 1000 }, (_, ms) => timestamp + String(ms).padStart(3, "0"))
      .map((text) => wrong(text, milliseconds, { weight: MISTAKES_MAX })),
  ];
}

function messageIdsOf(messageId: string): Way<string>[] {
  const spellings = [
    [messageId.toLowerCase(), "in lower case"],
    [messageId.toUpperCase(), "in upper case"],
    [messageId.replaceAll("-", ""), "without its dashes"],
    [messageId.replaceAll("-", "").toUpperCase(), "in upper case without its dashes"],
    [`{${messageId}}`, "in braces"],
    [`"${messageId}"`, "in quotation marks"],
  ] as const;
  return [
    right(messageId),
    ...spellings.filter(([spelling]) => spelling !== messageId)
      .map(([spelling, how]) =>
        wrong(spelling, `The signed message_id is ${how}: sign it as it is sent`)
      ),
  ];
}

function textOf(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}
