import type { OutboxEntry } from "../../src/core/outbox_entry.ts";
import { DEVICE_ID, MESSAGE_ID, TIMESTAMP } from "./judge.ts";

/** An entry with an empty payload. */
export const ENTRY: OutboxEntry = {
  deviceId: DEVICE_ID,
  messageId: MESSAGE_ID,
  timestamp: TIMESTAMP,
  sequence: 1,
  acceptedMs: 0,
  payload: new Uint8Array(),
};
