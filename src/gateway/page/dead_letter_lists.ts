/** `GET /ui/api/dead` and `/ui/api/dead/{sequence}`: what died, and one with its payload. */

import { secondsOf } from "../../core/time.ts";
import { type ApiKey, reaches } from "../../store/api_keys.ts";
import type { DeadLetter, DeadLetterSummary } from "../../store/dead_letters.ts";
import { cursorOf, type PageQuery } from "./page_query.ts";
import type { PageSources } from "./page_sources.ts";
import { shownBytes } from "./shown_bytes.ts";

/** A page of them, the newest first. */
export async function deadLetterPage(
  query: PageQuery,
  { store: { deadLetters } }: Pick<PageSources, "store">,
  key: ApiKey,
) {
  const limit = query.limit;
  const device = query.text("device");
  const [deadLetteredAtMs, sequence] = query.cursor("number", "number") ?? [];
  const before = sequence === undefined
    ? undefined
    : { deadLetteredAtMs: deadLetteredAtMs!, sequence };
  const deviceIds = devicesOf(key, device);
  const found = await deadLetters.newest({ deviceIds, before, limit: limit + 1 });
  const page = found.slice(0, limit);
  const last = page.at(-1);
  return {
    dead_letters: page.map(describe),
    next: found.length > limit ? cursorOf(last!.deadLetteredAtMs, last!.sequence) : null,
    total: deviceIds === undefined ? await deadLetters.count() : null,
  };
}

/** One that a key may see, with its payload and what is kept of the backend's answer. */
export async function deadLetterPayload(
  sequence: number,
  { store: { deadLetters } }: Pick<PageSources, "store">,
  key: ApiKey,
) {
  const letter = await deadLetters.find(sequence);
  if (letter === undefined || !reaches(key, letter.deviceId)) return undefined;
  const { text, base64 } = shownBytes(letter.payload);
  return {
    ...describe(letter),
    ...{ payload: text, payload_base64: base64, answer: answerOf(letter) },
  };
}

/** The devices whose part of a list a key may see: of one that it may not see, nothing. */
export function devicesOf(key: ApiKey, device: string | undefined): readonly string[] | undefined {
  if (device === undefined) return key.deviceIds;
  return reaches(key, device) ? [device] : [];
}

function answerOf({ answer }: DeadLetter) {
  const { text, base64 } = shownBytes(answer?.body);
  return {
    content_type: answer?.contentType ?? null,
    location: answer?.location ?? null,
    body: text,
    body_base64: base64,
  };
}

function describe(letter: DeadLetterSummary) {
  return {
    sequence: letter.sequence,
    device_id: letter.deviceId,
    message_id: letter.messageId,
    timestamp: letter.timestamp,
    command_state: letter.commandState ?? null,
    accepted: secondsOf(letter.acceptedMs),
    died: secondsOf(letter.deadLetteredAtMs),
    status: letter.status ?? null,
    reason: letter.reason,
  };
}
