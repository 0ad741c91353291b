/** The likely mistake behind a rejection, in words for the author of the message. */

import { type Envelope, readEnvelope } from "../core/envelope.ts";
import { importSecret } from "../core/signature.ts";
import { signedPayloadOf } from "../core/signed_payload.ts";
import { aheadInWords } from "../core/time.ts";
import type { MessageTrial } from "./message_trial.ts";
import { fieldNamesOf, formatMistakes } from "./format_mistakes.ts";
import { MISTAKES_MAX } from "./way.ts";
import { findSignatureMistakes, SEARCH_LIMITS, type SearchLimits } from "./signature_mistakes.ts";

/** What probably went wrong, a sentence each; empty for a message that is accepted. */
export async function likelyMistakes(
  trial: MessageTrial,
  limits = SEARCH_LIMITS,
): Promise<readonly string[]> {
  const { verdict, read } = trial;
  if (verdict.kind !== "rejected") return [];
  const retained = trial.retained && verdict.code === "malformed" ? [RETAINED] : [];
  if (read.kind === "rejected") return [...await mistakesInMalformed(trial, limits), ...retained];
  switch (verdict.code) {
    case "identity_mismatch":
      return [
        `The message says "${read.deviceId}", the topic and the certificate "${trial.identity}"`,
      ];
    case "unknown_device":
      return [unknownDeviceMistake(read, trial)];
    case "device_revoked":
      return [revokedMistake(read, trial)];
    case "invalid_signature":
      return mistakesInSignature(read, trial, { limits });
    case "timestamp_out_of_range":
      return clockMistakes(read, trial);
    case "replayed":
      return [
        "The gateway has accepted this message_id before: make a new UUID for each message, from " +
        "random numbers that differ after each start",
      ];
    case "malformed":
      return retained;
    case "rate_limited":
      return []; // not found out here
    default:
      return verdict.code satisfies never;
  }
}

const RETAINED =
  "Publish without the retain flag (no -r): the broker would deliver a retained message " +
  "again and again";

async function mistakesInMalformed(
  trial: MessageTrial,
  limits: SearchLimits,
): Promise<readonly string[]> {
  const { bytes, nowSeconds, secretOf } = trial;
  const { mistakes, repaired, unrepairedTimestamp } = formatMistakes(bytes, nowSeconds);
  const envelope = repaired && readEnvelope(repaired);
  if (envelope?.kind !== "envelope") return mistakes;
  const secret = secretOf(envelope.deviceId);
  if (secret === undefined) return mistakes;
  if (await signedPayloadOf(envelope, await importSecret(secret))) {
    return [...mistakes, "With that fixed, the signature is right"];
  }
  const repairedTrial = { ...trial, bytes: repaired! };
  return [
    ...mistakes,
    ...mistakesInSignature(envelope, repairedTrial, { limits, unrepairedTimestamp }),
  ];
}

function mistakesInSignature(
  envelope: Envelope,
  trial: MessageTrial,
  options: { limits: SearchLimits; unrepairedTimestamp?: string | undefined },
): readonly string[] {
  const { bytes, devices, secretOf } = trial;
  const secret = secretOf(envelope.deviceId);
  if (secret === undefined) return [];
  const others = [...devices?.values() ?? []].filter(({ deviceId }) =>
    deviceId !== envelope.deviceId
  );
  const { mistakes, trials, complete } = findSignatureMistakes({
    envelope,
    secret,
    otherSecrets: new Map(others.map((device) => [device.deviceId, device.sharedSecret])),
    fieldNames: fieldNamesOf(bytes),
    unrepairedTimestamp: options.unrepairedTimestamp,
  }, options.limits);
  if (mistakes !== undefined) return mistakes;
  return [
    `None of the ${trials} ways to sign that were tried gives this signature${
      complete ? "" : " (the search ends there)"
    }: other orders of the fields and texts between them, other spellings of payload, timestamp and ` +
    `message_id, other encodings, keys and hashes, up to ${MISTAKES_MAX} mistakes together`,
    "Print the bytes that the device signs and the length of its key, and compare them with the " +
    `signed text above and the secret's ${new TextEncoder().encode(secret).length} bytes`,
  ];
}

function unknownDeviceMistake({ deviceId }: Envelope, { devices }: MessageTrial): string {
  const lower = deviceId.toLowerCase();
  const similar = [...devices?.keys() ?? []].find((id) => id.toLowerCase() === lower);
  return similar === undefined
    ? `Register it: secure-iot-gateway device add ${deviceId}`
    : `"${similar}" is registered: upper and lower case differ`;
}

function revokedMistake({ deviceId }: Envelope, { devices }: MessageTrial): string {
  const { revokedAt, notAfter } = devices!.get(deviceId)!;
  return revokedAt !== undefined
    ? `It was revoked at ${dateOf(revokedAt)}: secure-iot-gateway device restore ${deviceId}`
    : `Its certificate expired at ${dateOf(notAfter!)}: ` +
      `secure-iot-gateway device rotate ${deviceId} --certificate`;
}

const TIME_ZONE_STEP_SECONDS = 1800;
const TIME_ZONE_MAX_SECONDS = 14 * 3600;
/** How much a message may be older than a time zone makes it seem. */
const TIME_ZONE_SLACK_SECONDS = 60;

function clockMistakes(envelope: Envelope, trial: MessageTrial): string[] {
  const { nowSeconds, toleranceSeconds, now } = trial;
  const { timestamp, timestampSeconds } = envelope;
  const offSeconds = timestampSeconds - nowSeconds;
  if (Math.abs(offSeconds) <= toleranceSeconds) {
    return [
      "The gateway's clock was ahead, so it may have dropped the ids of that time: it refuses " +
      "messages that it cannot tell from a replay; send the reading again with the current time",
    ];
  }
  const mistakes = [
    `The timestamp is ${aheadInWords(offSeconds)} now, ${toleranceSeconds} s are allowed: ` +
    `${dateOf(timestampSeconds)} against ${dateOf(nowSeconds)}`,
  ];
  const zoneSeconds = timeZoneOf(offSeconds);
  if (zoneSeconds !== undefined) {
    mistakes.push(
      `That looks like a time zone, UTC${zoneSeconds < 0 ? "-" : "+"}${
        Math.abs(zoneSeconds) / 3600
      } h: Unix seconds are counted in UTC everywhere`,
    );
  }
  if (now && offSeconds < 0) {
    mistakes.push(`To check an old message, give the time at which it was sent: --at ${timestamp}`);
  }
  return mistakes;
}

/** The time zone that a clock seems to have been set by; undefined if it is none. */
function timeZoneOf(offSeconds: number): number | undefined {
  const zoneSeconds = Math.round(offSeconds / TIME_ZONE_STEP_SECONDS) * TIME_ZONE_STEP_SECONDS;
  const plausible = zoneSeconds !== 0 && Math.abs(zoneSeconds) <= TIME_ZONE_MAX_SECONDS &&
    Math.abs(offSeconds - zoneSeconds) <= TIME_ZONE_SLACK_SECONDS;
  return plausible ? zoneSeconds : undefined;
}

function dateOf(unixSeconds: number): string {
  return new Date(unixSeconds * 1000).toISOString().replace(".000Z", "Z");
}
