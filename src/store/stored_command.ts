/** Commands and the requests that made them as rows, whatever engine has them. */

import type {
  AcknowledgedState,
  Acknowledgement,
  CommandDelivery,
  CommandState,
} from "../core/command_life.ts";
import type { KeptRequest } from "../core/command_store.ts";
import type { CommandRow } from "./command_changes.ts";
import type { StoredRow } from "./stored_row.ts";

/** Most commands that are sent again in one turn of a device. */
export const UNACKNOWLEDGED_MAX = 16;

/** SQLite has 1 and 0 for true and false. */
function isTrue(column: unknown): boolean {
  return column === true || column === 1;
}

/** The command in a row. */
export function commandRowOf(row: StoredRow): CommandRow {
  return {
    command: {
      deviceId: row["device_id"] as string,
      messageId: row["message_id"] as string,
      keyName: row["key_name"] as string,
      state: row["state"] as CommandState,
      delivery: (row["delivery"] ?? undefined) as CommandDelivery | undefined,
      createdSeconds: row["created"] as number,
      expiresSeconds: row["expires"] as number,
      isKept: isTrue(row["is_kept"]),
      sends: row["sends"] as number,
      copies: row["copies"] as number,
      lastSentSeconds: (row["last_sent"] ?? undefined) as number | undefined,
      withdrawn: isTrue(row["withdrawn"]),
      acknowledgement: acknowledgementOf(row),
    },
    payload: (row["payload"] ?? new Uint8Array()) as Uint8Array,
    isTold: isTrue(row["is_told"]),
  };
}

function acknowledgementOf(row: StoredRow): Acknowledgement | undefined {
  if (row["ack_state"] === null) return undefined;
  return {
    state: row["ack_state"] as AcknowledgedState,
    receivedSeconds: row["ack_received"] as number,
    timestamp: row["ack_timestamp"] as string,
    payload: row["ack_payload"] as Uint8Array,
  };
}

/** The request in a row. */
export function requestOf(row: StoredRow): KeptRequest {
  const answer = {
    timestampSeconds: row["timestamp"] as number,
    delivery: (row["delivery"] ?? undefined) as CommandDelivery | undefined,
  };
  return {
    deviceId: row["device_id"] as string,
    messageId: row["message_id"] as string,
    createdSeconds: row["created"] as number,
    digest: row["digest"] as Uint8Array,
    answer: isTrue(row["answered"]) ? answer : undefined,
  };
}
