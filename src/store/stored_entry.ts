/** Outbox entries and dead letters as rows, whatever engine has them. */

import type { CommandState } from "../core/command_life.ts";
import type { DeadLetterCause, KeptAnswer } from "../core/delivery.ts";
import type { OutboxEntry } from "../core/outbox_entry.ts";
import type { OutboxSummary } from "./outbox.ts";
import type { StoredRow } from "./stored_row.ts";

/** An entry in a row that has an outbox's columns, but for the payload. */
export function summaryOf(row: StoredRow): OutboxSummary {
  const commandState = row["command_state"] as CommandState | null;
  return {
    sequence: row["sequence"] as number,
    deviceId: row["device_id"] as string,
    messageId: row["message_id"] as string,
    timestamp: row["timestamp"] as string,
    acceptedMs: row["accepted_ms"] as number,
    ...(commandState !== null && { commandState }),
  };
}

/** An entry in a row that also has its payload. */
export function entryOf(row: StoredRow): OutboxEntry {
  return { ...summaryOf(row), payload: row["payload"] as Uint8Array };
}

/** Why and when an entry became the dead letter in a row; the answer is read by `answerOf`. */
export function deathOf(row: StoredRow): DeadLetterCause {
  return {
    status: (row["status"] ?? undefined) as number | undefined,
    reason: row["reason"] as string,
    deadLetteredAtMs: row["died_ms"] as number,
  };
}

/** What is kept of the backend's answer in a dead letter's row. */
export function answerOf(row: StoredRow): KeptAnswer {
  return {
    contentType: (row["content_type"] ?? undefined) as string | undefined,
    location: (row["location"] ?? undefined) as string | undefined,
    body: (row["body"] ?? undefined) as Uint8Array | undefined,
  };
}
