/** Events as counts: one table, in which each kind of event has its row. */

import type { EventOf, GatewayEvent } from "../../core/event.ts";
import type { Outcome } from "../../core/delivery.ts";
import type { BackendOutcome, Metrics } from "./metrics.ts";

type Kind = GatewayEvent["kind"];

/** What each event counts; undefined: nothing. */
const COUNTS = {
  message_accepted: ({ lateSeconds }, metrics) => {
    metrics.accepted.inc();
    if (lateSeconds !== undefined) metrics.late.inc();
  },
  message_duplicate: (_event, metrics) => metrics.duplicates.inc(),
  message_rejected: ({ rejection: { code } }, metrics) => metrics.rejected.inc({ code }),
  messages_rejected: undefined, // each was counted
  log_lines_dropped: undefined,
  intake_paused: undefined,
  intake_resumed: undefined,
  qos0_dropped: ({ count }, metrics) => metrics.qos0Dropped.inc(count),
  caught_up: undefined,
  catch_up_unconfirmed: undefined,
  store_failed: undefined,
  store_recovered: undefined,
  store_replaced: undefined,
  store_reopened: undefined,
  dead_letters_expired: ({ count }, metrics) => metrics.deadLettersExpired.inc(count),
  lease_lapsed: undefined,
  node_adopted: ({ entries }, metrics) => metrics.adopted.inc(entries),
  mail_refused: undefined,
  store_clock_differs: undefined,
  clock_behind: undefined,
  clock_differs: undefined,
  device_damaged: undefined,
  new_secret_used: undefined,
  audit_head: undefined,
  delivery_started: ({ waitedMs }, metrics) => {
    if (waitedMs !== undefined) metrics.intakeToBackend.observe(waitedMs / 1000);
  },
  message_delivered: (_event, metrics) => metrics.delivered.inc(),
  callback_delivered: (_event, metrics) => metrics.callbacksDelivered.inc(),
  delivery_retried: (_event, metrics) => metrics.retried.inc(),
  message_dead_lettered: (_event, metrics) => metrics.deadLettered.inc(),
  callback_dead_lettered: (_event, metrics) => metrics.deadLettered.inc(),
  callbacks_dropped: ({ count }, metrics) => metrics.callbacksDropped.inc(count),
  delivery_stuck: undefined,
  backend_outcome: ({ outcome }, metrics) =>
    metrics.backendOutcomes.inc({ outcome: classOf(outcome) }),
  batch_answer_invalid: undefined,
  backend_unreachable: undefined,
  backend_untrusted: undefined,
  backend_failing: undefined,
  backend_recovered: undefined,
  response_refused: undefined,
  receipt_sent: ({ result }, metrics) => metrics.receiptsSent.inc({ result }),
  receipt_dropped: ({ why }, metrics) => metrics.receiptsDropped.inc({ why }),
  receipts_refused: undefined,
  receipts_allowed: undefined,
  broker_connected: (_event, metrics) => metrics.brokerConnects.inc(),
  broker_disconnected: undefined,
  broker_unreachable: undefined,
  session_taken_over: undefined,
  broker_dropped: ({ count }, metrics) => metrics.brokerDropped.inc(count),
  command_accepted: ({ delivery }, metrics) => metrics.commandsAccepted.inc({ delivery }),
  command_cancelled: undefined,
  command_state_changed: ({ state }, metrics) => metrics.commandStates.inc({ state }),
  acknowledgement_unmatched: (_event, metrics) => metrics.acknowledgementsUnmatched.inc(),
  command_refused: ({ reason, count }, metrics) => metrics.commandsRefused.inc({ reason }, count),
  session_begun: undefined,
  operator_acted: undefined,
  api_key_refused: ({ fault, count }, metrics) => metrics.apiKeysRefused.inc({ fault }, count),
  api_failed: undefined,
  api_key_imported: undefined,
  api_key_unknown: undefined,
  api_key_missing: undefined,
  file_expiry: ({ path, endSeconds }, metrics) => metrics.fileEnds.set({ file: path }, endSeconds),
  devices_expiring: ({ count }, metrics) => metrics.devicesEnding.set(count),
  expires_soon: undefined,
  gateway_started: undefined,
  gateway_stopped: undefined,
  worker_died: undefined,
  reloading: undefined,
  reloaded: undefined,
  reload_failed: undefined,
  systemd_notify_failed: undefined,
} as const satisfies { [K in Kind]: ((event: EventOf<K>, metrics: Metrics) => void) | undefined };

/** `2xx`, `3xx`, …, or `none` if no answer came. */
function classOf(outcome: Outcome): BackendOutcome {
  if (outcome.kind === "no_answer") return "none";
  const hundreds = Math.min(5, Math.floor(outcome.status / 100));
  return `${hundreds}xx` as BackendOutcome;
}

/** Counts an event. */
export function countEvent(event: GatewayEvent, metrics: Metrics): void {
  const count = COUNTS[event.kind] as ((event: GatewayEvent, metrics: Metrics) => void) | undefined;
  count?.(event, metrics);
}
