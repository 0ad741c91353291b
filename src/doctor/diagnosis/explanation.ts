/** The likely slip behind a rejection, in words for whoever wrote the message. */

import { type Envelope, readEnvelope } from "../../core/envelope.ts";
import { importSecret } from "../../core/signature.ts";
import { signedPayloadOf } from "../../core/signed_payload.ts";
import type { MessageTrial } from "./message_trial.ts";
import { fieldNamesOf, formatMistakes } from "./format_mistakes.ts";
import { signatureMistakes } from "./signature_mistakes.ts";

/** What probably went wrong, a sentence each; empty for a message that is accepted. */
export async function likelyMistakes(examination: MessageTrial): Promise<readonly string[]> {
  const { verdict, read } = examination;
  if (verdict.kind !== "rejected") return [];
  if (read.kind === "rejected") return await slipsInMalformed(examination);
  switch (verdict.code) {
    case "identity_mismatch":
      return [
        `The message says "${read.deviceId}", the topic and the certificate "${examination.identity}"`,
      ];
    case "unknown_device":
      return [unknownDeviceSlip(read, examination)];
    case "device_revoked":
      return [revokedSlip(read, examination)];
    case "invalid_signature":
      return await slipsInSignature(read, examination);
    case "timestamp_out_of_range":
      return clockSlips(read, examination);
    case "replayed":
      return [
        "The gateway has accepted this message_id before: make a new UUID for each message, from " +
        "random numbers that differ after each start",
      ];
    case "malformed":
    case "rate_limited":
      return []; // not found out here
    default:
      return verdict.code satisfies never;
  }
}

async function slipsInMalformed(examination: MessageTrial): Promise<readonly string[]> {
  const { bytes, nowSeconds, secretOf } = examination;
  const { slips, mended, unmendedTimestamp } = formatMistakes(bytes, nowSeconds);
  const envelope = mended && readEnvelope(mended);
  if (envelope?.kind !== "envelope") return slips;
  const secret = secretOf(envelope.deviceId);
  if (secret === undefined) return slips;
  if (await signedPayloadOf(envelope, await importSecret(secret))) {
    return [...slips, "With that mended, the signature is right"];
  }
  return [...slips, ...await slipsInSignature(envelope, examination, { unmendedTimestamp })];
}

async function slipsInSignature(
  envelope: Envelope,
  examination: MessageTrial,
  options: { unmendedTimestamp?: string | undefined } = {},
): Promise<readonly string[]> {
  const { bytes, devices, secretOf } = examination;
  const secret = secretOf(envelope.deviceId);
  if (secret === undefined) return [];
  const others = [...devices?.values() ?? []].filter(({ deviceId }) =>
    deviceId !== envelope.deviceId
  );
  return await signatureMistakes({
    envelope,
    secret,
    otherSecrets: new Map(others.map((device) => [device.deviceId, device.sharedSecret])),
    fieldNames: fieldNamesOf(bytes),
    unmendedTimestamp: options.unmendedTimestamp,
  }) ?? [
    "None of the usual slips gives this signature: the device has another secret, or the message " +
    "was changed after it was signed",
  ];
}

function unknownDeviceSlip({ deviceId }: Envelope, { devices }: MessageTrial): string {
  const lower = deviceId.toLowerCase();
  const similar = [...devices?.keys() ?? []].find((id) => id.toLowerCase() === lower);
  return similar === undefined
    ? `Register it: secure-iot-gateway device add ${deviceId}`
    : `"${similar}" is registered: upper and lower case differ`;
}

function revokedSlip({ deviceId }: Envelope, { devices }: MessageTrial): string {
  const { revokedAt, notAfter } = devices!.get(deviceId)!;
  return revokedAt !== undefined
    ? `It was revoked at ${dateOf(revokedAt)}`
    : `Its certificate ended at ${dateOf(notAfter!)}: it needs a new one`;
}

const TIME_ZONE_STEP_SECONDS = 1800;
const TIME_ZONE_MAX_SECONDS = 14 * 3600;
/** How much a message may be older than a time zone makes it seem. */
const TIME_ZONE_SLACK_SECONDS = 60;

function clockSlips(envelope: Envelope, examination: MessageTrial): string[] {
  const { nowSeconds, toleranceSeconds, now } = examination;
  const { timestamp, timestampSeconds } = envelope;
  const offSeconds = timestampSeconds - nowSeconds;
  if (Math.abs(offSeconds) <= toleranceSeconds) {
    return [
      "The gateway's clock was ahead before: what it may have forgotten since then, it refuses",
    ];
  }
  const slips = [
    `The timestamp is ${offInWords(offSeconds)}, ${toleranceSeconds} s are allowed: ` +
    `${dateOf(timestampSeconds)} against ${dateOf(nowSeconds)}`,
  ];
  const zoneSeconds = timeZoneOf(offSeconds);
  if (zoneSeconds !== undefined) {
    slips.push(
      `That looks like a time zone, UTC${zoneSeconds < 0 ? "-" : "+"}${
        Math.abs(zoneSeconds) / 3600
      } h: Unix seconds are counted in UTC everywhere`,
    );
  }
  if (now && offSeconds < 0) {
    slips.push(`Where the message was only kept for long, judge it at its time: --at ${timestamp}`);
  }
  return slips;
}

/** The time zone that a clock seems to have been set by; undefined where it is none. */
function timeZoneOf(offSeconds: number): number | undefined {
  const zoneSeconds = Math.round(offSeconds / TIME_ZONE_STEP_SECONDS) * TIME_ZONE_STEP_SECONDS;
  const plausible = zoneSeconds !== 0 && Math.abs(zoneSeconds) <= TIME_ZONE_MAX_SECONDS &&
    Math.abs(offSeconds - zoneSeconds) <= TIME_ZONE_SLACK_SECONDS;
  return plausible ? zoneSeconds : undefined;
}

/** "3600 s behind now". */
function offInWords(offSeconds: number): string {
  return `${Math.abs(offSeconds)} s ${offSeconds < 0 ? "behind" : "ahead of"} now`;
}

function dateOf(unixSeconds: number): string {
  return new Date(unixSeconds * 1000).toISOString().replace(".000Z", "Z");
}
