/**
 * Mutants: valid messages, changed in every way that an attacker or a broken line might, from a
 * seed, so that a run can be repeated.
 *
 * The rules are:
 * - every mutant is judged as the gateway judges, and then once more by this file: whatever gets
 *   past the signature must say, byte for byte, something that was signed;
 * - what still says so, because only white space, the order of fields, escapes or the case of hex
 *   digits were changed, is no forgery. It is counted apart, and must be refused as a replay;
 * - everything else that gets past the signature is a forgery, and a throw is a failure.
 */

import { readEnvelope } from "../../src/core/envelope.ts";
import { importSecret, sign } from "../../src/core/signature.ts";
import { type SignedFields, signingInput } from "../../src/core/signing_input.ts";
import { judge, NOW, outcomeOf, SECRET } from "../support/judge.ts";
import { CHANGES_OF_BYTES } from "./byte_changes.ts";
import {
  type Changes,
  CHANGES_OF_FIELDS,
  CHANGES_OF_TEXT,
  CHANGES_OF_TOPIC,
  type Field,
  type Original,
  textOf,
} from "./changes.ts";
import { sumOf } from "./checker.ts";
import { Dice } from "./dice.ts";
import type { Findings, Scenario, ScenarioOptions } from "./scenario.ts";

/** A changed message, and how it was changed. */
export interface Mutant {
  readonly bytes: Uint8Array;
  readonly topic: string;
  readonly changes: readonly string[];
}

/** What became of many mutants. */
export interface MutantFigures {
  readonly judged: number;
  /** Forgeries that got through; each is described in `faults`. */
  readonly accepted: number;
  readonly thrown: number;
  /** Mutants that still said what was signed, and were refused as replays. */
  readonly repeated: number;
  /** How often each outcome was given. */
  readonly outcomes: Readonly<Record<string, number>>;
  /** The first few forgeries and throws. */
  readonly faults: readonly string[];
}

const FAULTS_MAX = 10;
const BATCH = 512;

/** Devices that the gateway knows; two of them share a secret, which no device should. */
const REGISTERED: Readonly<Record<string, string>> = {
  sensor_001: SECRET,
  sensor_002: SECRET,
  "a.very-long_device.id-with-many-parts_0123456789.0123456789.0123": "another secret",
};
const [FIRST, SECOND, LONG] = Object.keys(REGISTERED) as [string, string, string];

/** A million mutants; a tenth of that in the short form. */
export const MUTANTS: Scenario = { name: "mutated messages", alone: true, run };

async function run({ long, seed }: ScenarioOptions): Promise<Findings> {
  const figures = await runMutants(long ? 1_000_000 : 100_000, seed);
  const { judged, accepted, thrown, repeated, faults } = figures;
  return {
    ...NO_FIGURES,
    sent: judged,
    received: accepted,
    replaysForwarded: accepted,
    violations: faults,
    note:
      `${accepted} accepted, ${thrown} thrown; ${repeated} still said what was signed, and were ` +
      "refused as replays",
  };
}

const NO_FIGURES = sumOf([]);

/** Makes and judges `count` mutants. */
export async function runMutants(count: number, seed: number): Promise<MutantFigures> {
  const { originals, signed } = await makeOriginals();
  const dice = new Dice(seed);
  const tally = new Tally();
  for (let left = count; left > 0; left -= BATCH) {
    const mutants = Array.from({ length: Math.min(BATCH, left) }, () => mutate(originals, dice));
    const outcomes = await Promise.all(mutants.map((mutant) => examine(mutant, signed)));
    outcomes.forEach((outcome, i) => tally.add(outcome, mutants[i]!));
  }
  return tally.figures();
}

/** The first `count` mutants of a seed. */
export async function makeMutants(count: number, seed: number): Promise<Mutant[]> {
  const { originals } = await makeOriginals();
  const dice = new Dice(seed);
  return Array.from({ length: count }, () => mutate(originals, dice));
}

/**
 * A rejection code, "repeated" for a replay of what was signed, or "forged" or "thrown" for what
 * must never be. `signed` holds everything that was ever signed, see `signedSaying`.
 */
export async function examine(mutant: Mutant, signed: ReadonlySet<string>): Promise<string> {
  const { bytes, topic } = mutant;
  try {
    const outcome = outcomeOf(await judge(bytes, REGISTERED, { topic }));
    if (outcome !== "accepted" && outcome !== "timestamp_out_of_range") return outcome;
    const saying = await sayingOf(mutant);
    if (saying === undefined || !signed.has(saying)) return "forged";
    if (outcome !== "accepted") return outcome;
    const again = outcomeOf(await judge(bytes, REGISTERED, { topic, remembered: true }));
    return again === "replayed" ? "repeated" : "forged";
  } catch (error) {
    return `thrown: ${error}`;
  }
}

/** What a mutant says whose signature verifies; undefined where it does not. */
async function sayingOf({ bytes, topic }: Mutant): Promise<string | undefined> {
  const envelope = readEnvelope(bytes);
  if (envelope.kind === "rejected") return undefined;
  const nowSeconds = envelope.timestampSeconds;
  const verdict = await judge(bytes, REGISTERED, { topic, nowSeconds });
  return verdict.kind === "accepted" ? signedSaying(envelope, verdict.payload) : undefined;
}

/** The signed fields, byte for byte, with a mark between them: none can pass for part of another. */
export function signedSaying(fields: SignedFields, payload: Uint8Array): string {
  return [fields.deviceId, fields.timestamp, fields.messageId, latin1(payload)].join("|");
}

class Tally {
  readonly #outcomes: Record<string, number> = {};
  readonly #faults: string[] = [];
  #judged = 0;

  add(outcome: string, mutant: Mutant): void {
    const kind = outcome.split(":")[0]!;
    this.#judged++;
    this.#outcomes[kind] = (this.#outcomes[kind] ?? 0) + 1;
    if ((kind !== "forged" && kind !== "thrown") || this.#faults.length === FAULTS_MAX) return;
    const { changes, topic, bytes } = mutant;
    this.#faults.push(`${outcome}, by ${changes.join(", ")}, on ${topic}: ${latin1(bytes)}`);
  }

  figures(): MutantFigures {
    const { forged = 0, thrown = 0, repeated = 0, ...outcomes } = this.#outcomes;
    const faults = this.#faults;
    return { judged: this.#judged, accepted: forged, thrown, repeated, outcomes, faults };
  }
}

/** How often a mutant is drawn again until it differs, and is well formed if it should be. */
const DRAWS_MAX = 12;

/** Half of the mutants are well formed, or nearly all would never come as far as the key. */
function mutate(originals: readonly Original[], dice: Dice): Mutant {
  const wellFormed = dice.below(2) === 0;
  for (let draws = 1;; draws++) {
    const original = dice.pick(originals);
    const mutant = changed(original, originals, dice);
    if (draws === DRAWS_MAX) return mutant;
    if (isSame(mutant.bytes, original.message)) continue;
    if (!wellFormed || readEnvelope(mutant.bytes).kind === "envelope") return mutant;
  }
}

/** How many changes of fields, and of bytes. */
const CHANGE_COUNTS = [[1, 0], [1, 0], [2, 0], [0, 1], [0, 1], [0, 2], [1, 1], [2, 2]] as const;

function changed(original: Original, originals: readonly Original[], dice: Dice): Mutant {
  const changes: string[] = [];
  const change = <T extends { readonly length: number }>(kinds: Changes<T>, subject: T): T => {
    if (subject.length === 0) return subject;
    const name = dice.pick(Object.keys(kinds));
    changes.push(name);
    return kinds[name]!(subject, dice, dice.pick(originals));
  };
  const [ofFields, ofBytes] = dice.pick(CHANGE_COUNTS);
  let { fields, topic } = original;
  for (let i = 0; i < ofFields; i++) fields = change(CHANGES_OF_FIELDS, fields);
  let text = textOf(fields);
  if (dice.below(10) === 0) text = change(CHANGES_OF_TEXT, text);
  let bytes: Uint8Array = new TextEncoder().encode(text);
  for (let i = 0; i < ofBytes; i++) bytes = change(CHANGES_OF_BYTES, bytes);
  const turn = dice.below(20);
  if (turn === 0) topic = change(CHANGES_OF_TOPIC, topic);
  if (turn > 15) topic = `device/${deviceIn(bytes)}/data`;
  return { bytes, topic, changes };
}

/** The device that a mutant says it comes from: what it would be with that device's certificate. */
function deviceIn(bytes: Uint8Array): string {
  const envelope = readEnvelope(bytes);
  return envelope.kind === "envelope" ? envelope.deviceId : FIRST;
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, i) => byte === other[i]);
}

/** What an original says. */
interface Said {
  readonly payload: string;
  /** Where it is not the payload as it stands. */
  readonly signed?: string;
  readonly deviceId?: string;
  readonly timestamp?: number;
  readonly messageId?: string;
}

const SAYINGS: readonly Said[] = [
  { payload: '{"temperature":22.50,"tags":["a b","\\u00e9","é"],"n":12345678901234567890}' },
  { payload: '{"a":1,"b":2,"a":3,"":{}}', deviceId: SECOND },
  { payload: '{ "a" : [ 1 , "b  c" ] }', signed: '{"a":[1,"b  c"]}' },
  { payload: '{ "a" : [ 1 , "b  c" ] }' },
  { payload: "22.5", messageId: "7D444840-9DC0-41D1-B245-5FFDCE74FAD2" },
  { payload: '"17277120001727712000550e8400-e29b-41d4-a716-446655440000"' },
  { payload: "null", deviceId: LONG },
  { payload: "17277120001234567890" },
  { payload: "{}", timestamp: NOW - 300 },
  { payload: "true", timestamp: NOW + 300 },
  { payload: '{"stale":true}', timestamp: NOW - 301 },
  { payload: '{"early":true}', timestamp: NOW + 301, deviceId: SECOND },
  { payload: "[".repeat(64) + "]".repeat(64) },
  { payload: `[${Array.from({ length: 300 }, (_, i) => i * 1.5).join(",")}]` },
  { payload: '"\\ud83d\\udca7 \\/ \\b\\f\\n\\r\\t\\\\ \\" 💧 \u2028 \u007f"' },
];

async function makeOriginals() {
  const originals: Original[] = [];
  const signed = new Set<string>();
  for (const [number, saying] of SAYINGS.entries()) {
    const { deviceId = FIRST, payload } = saying;
    const timestamp = String(saying.timestamp ?? NOW - number);
    const messageId = saying.messageId ??
      `550e8400-e29b-41d4-a716-${String(446655440000 + number)}`;
    const key = await importSecret(REGISTERED[deviceId]!);
    const said = new TextEncoder().encode(saying.signed ?? payload);
    const names = { deviceId, timestamp, messageId };
    const fields: Field[] = [
      ['"device_id"', `"${deviceId}"`],
      ['"timestamp"', timestamp],
      ['"message_id"', `"${messageId}"`],
      ['"payload"', payload],
      ['"signature"', `"${await sign(key!, signingInput(names, said))}"`],
    ];
    const message = new TextEncoder().encode(textOf(fields));
    originals.push({ topic: `device/${deviceId}/data`, fields, message });
    signed.add(signedSaying(names, said));
  }
  return { originals, signed };
}

function latin1(bytes: Uint8Array): string {
  return new TextDecoder("latin1").decode(bytes);
}
