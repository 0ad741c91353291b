/**
 * What became of a message that the gateway has accepted before it is verified.
 *
 * The rules are:
 * - as long as it waits, or is a dead letter, its bytes are compared;
 * - after that only its message_id is known: a message with a later timestamp than any that came in
 *   those minutes is another one.
 */

import type { MessageTrial } from "../diagnosis/message_trial.ts";
import type { Envelope } from "../core/envelope.ts";
import type { OutboxEntry } from "../core/outbox_entry.ts";
import { importSecret } from "../core/signature.ts";
import { signedPayloadOf } from "../core/signed_payload.ts";
import type { Store } from "../store/store.ts";
import { isoOf } from "./message_report.ts";

/** Where a message is that was accepted. */
export type EarlierMessage =
  | {
    readonly kind: "waiting" | "dead_letter";
    readonly sequence: number;
    /** Wall clock, Unix milliseconds. */
    readonly acceptedMs: number;
  }
  | {
    readonly kind: "delivered";
    /** It was accepted between these; wall clock, Unix milliseconds. */
    readonly sinceMs: number;
    readonly untilMs: number;
  };

/** What became of this very message; undefined if it is refused for another reason, or was another. */
export async function earlierMessage(
  trial: MessageTrial,
  store: Pick<Store, "outbox" | "deadLetters" | "replayIds">,
): Promise<EarlierMessage | undefined> {
  const { read, verdict } = trial;
  if (read.kind !== "envelope" || verdict.kind !== "rejected") return undefined;
  // Both come after the signature; an accepted message fails the first when it is old.
  if (verdict.code !== "timestamp_out_of_range" && verdict.code !== "replayed") return undefined;
  const id = [read.deviceId, read.messageId] as const;
  const remembered = await store.replayIds.find(...id);
  // In this order: an entry goes from the outbox to the dead letters.
  const waiting = await store.outbox.findMessage(...id);
  const kept = waiting ?? await store.deadLetters.findMessage(...id);
  if (kept) {
    if (!await isSame(read, kept, trial)) return undefined;
    const { sequence, acceptedMs } = kept;
    return { kind: waiting ? "waiting" : "dead_letter", sequence, acceptedMs };
  }
  if (remembered === undefined || read.timestampSeconds > remembered.newestSeconds) {
    return undefined;
  }
  const { sinceSeconds, untilSeconds } = remembered;
  return { kind: "delivered", sinceMs: 1000 * sinceSeconds, untilMs: 1000 * untilSeconds };
}

async function isSame(
  envelope: Envelope,
  kept: OutboxEntry,
  { secretOf }: MessageTrial,
): Promise<boolean> {
  const key = await importSecret(secretOf(envelope.deviceId) ?? "");
  const payload = await signedPayloadOf(envelope, key);
  return payload?.toHex() === kept.payload.toHex() && envelope.timestamp === kept.timestamp;
}

/** The report's last line. */
export function earlierSentence(earlier: EarlierMessage, deviceId: string): string {
  const from = `Accepted message from ${deviceId}`;
  const again = "sent again, it is refused";
  switch (earlier.kind) {
    case "waiting":
      return `${from} at ${isoOf(earlier.acceptedMs)}: it waits in the outbox with the sequence ` +
        `number ${earlier.sequence}; ${again}`;
    case "dead_letter":
      return `${from} at ${isoOf(earlier.acceptedMs)}: it is a dead letter with the sequence ` +
        `number ${earlier.sequence}: secure-iot-gateway dead show ${earlier.sequence}; ${again}`;
    case "delivered":
      return `${from} between ${isoOf(earlier.sinceMs)} and ${isoOf(earlier.untilMs)}: it is ` +
        `delivered; ${again}`;
    default:
      return earlier satisfies never;
  }
}

/** The same for programs. */
export function describeEarlier(earlier: EarlierMessage) {
  return earlier.kind === "delivered"
    ? {
      state: earlier.kind,
      acceptedSince: isoOf(earlier.sinceMs),
      acceptedUntil: isoOf(earlier.untilMs),
    }
    : {
      state: earlier.kind,
      sequence: earlier.sequence,
      acceptedAt: isoOf(earlier.acceptedMs),
    };
}
