/** Messages with a mistake in them, and what `verify` must say of it. */

import assert from "node:assert/strict";
import { createHash, createHmac } from "node:crypto";
import { type MessageTrial, tryAlone } from "../../src/diagnosis/message_trial.ts";
import { likelyMistakes } from "../../src/diagnosis/explanation.ts";
import { SEARCH_LIMITS } from "../../src/diagnosis/signature_mistakes.ts";
import { DEVICE_ID, MESSAGE_ID, NOW, SECRET, TIMESTAMP } from "./judge.ts";

/** What is signed before the payload. */
export const HEAD = DEVICE_ID + TIMESTAMP + MESSAGE_ID;

/** What a message is made of; whatever is not said is right. */
interface Making {
  readonly timestamp?: string;
  readonly messageId?: string;
  readonly payload?: string;
  /** The text under the HMAC. */
  readonly signed?: string | Uint8Array;
  readonly key?: string | Uint8Array;
  /** In place of the HMAC over `signed`; with its quotation marks. */
  readonly signature?: string;
}

/** A message that is made so. */
export function message(making: Making): string {
  const { timestamp = TIMESTAMP, messageId = MESSAGE_ID, payload = "{}" } = making;
  const signed = making.signed ?? HEAD + payload;
  const signature = making.signature ?? `"${hmac(making.key ?? SECRET, signed)}"`;
  return `{"device_id":"${DEVICE_ID}","timestamp":${timestamp},"message_id":"${messageId}",` +
    `"payload":${payload},"signature":${signature}}`;
}

/** Hex digits. */
export function hmac(key: string | Uint8Array, text: string | Uint8Array): string {
  return createHmac("sha256", key).update(text).digest("hex");
}

/** A plain hash as a signature, in quotation marks. */
export function sha256(text: string): string {
  return `"${createHash("sha256").update(text).digest("hex")}"`;
}

/** The message as the gateway would judge it. */
export async function examine(
  text: string | Uint8Array,
  options: { secret?: string; nowSeconds?: number; retained?: boolean } = {},
): Promise<MessageTrial> {
  const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
  const nowSeconds = options.nowSeconds ?? NOW;
  const subject = {
    bytes,
    identity: DEVICE_ID,
    nowSeconds,
    now: true,
    retained: options.retained ?? false,
    toleranceSeconds: 300,
  };
  return await tryAlone(subject, options.secret ?? SECRET);
}

/** What is said if nothing gives the signature: never that the secret is another. */
export const NONE =
  /^None of the \d+ ways to sign that were tried gives this signature(?!.*another secret)/;
/** What is said behind it. */
export const COMPARE = /^Print the bytes that the device signs .* 17 bytes$/;
/** As a command, on a machine that is busy. */
const PATIENT = { ...SEARCH_LIMITS, timeMaxMs: 60_000 };
/** How much is tried where nothing can be found. */
export const FEW = { trialsMax: 20, timeMaxMs: 10_000 };

/** Each mistake, and what must be said of it and nothing else. */
export type Row = readonly [mistake: string, making: Making, ...said: readonly RegExp[]];

/** The mistakes of a rejected message must be these, in this order. */
export async function assertSaid(
  trial: MessageTrial,
  said: readonly RegExp[],
  { limits = said.includes(NONE) ? FEW : PATIENT } = {},
): Promise<void> {
  assert.equal(trial.verdict.kind, "rejected");
  const mistakes = await likelyMistakes(trial, limits);
  assert.equal(mistakes.length, said.length, mistakes.join("\n"));
  said.forEach((pattern, i) => assert.match(mistakes[i]!, pattern));
}
