/** Entries of the outbox as rows. */

import type { CommandState } from "../../core/command_life.ts";
import type { OutboxEntry } from "../../core/outbox_entry.ts";
import type { OutboxSummary } from "../outbox.ts";
import type { Row } from "./driver.ts";

/** By how much a node's steady clock is ahead of its wall clock, milliseconds: a mark of the node. */
export const STEADY_OFFSET_MARK = "steady_offset_ms";

/** The columns of an entry but for its payload. */
export const SUMMARY_COLUMNS =
  "sequence, device_id, message_id, timestamp, accepted_ms, command_state";

/** An entry in a row that has these columns. */
export function summaryOf(row: Row): OutboxSummary {
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
export function entryOf(row: Row): OutboxEntry {
  return { ...summaryOf(row), payload: row["payload"] as Uint8Array };
}
