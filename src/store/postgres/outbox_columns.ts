/** The columns of an outbox entry but for its payload. */
export const SUMMARY_COLUMNS =
  "sequence, device_id, message_id, timestamp, accepted_ms, command_state";
