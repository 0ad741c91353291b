/** One example of each event, and what an operator does about it: the material of a docs page. */

import type { EventOf, GatewayEvent } from "../core/event.ts";
import { reject } from "../core/rejection.ts";

type Kind = GatewayEvent["kind"];

const ENTRY = {
  deviceId: "sensor_001",
  messageId: "550e8400-e29b-41d4-a716-446655440000",
  sequence: 17,
};

const CALLBACK = {
  ...ENTRY,
  messageId: "660f9500-f30c-42e5-b827-557766551111",
  commandState: "done",
} as const;

const WAITING = { devices: 12, oldest: { deviceId: ENTRY.deviceId, ageMs: 3_725_000 } };

/** A kind that is missing here is a type error. */
export const SAMPLES: { readonly [K in Kind]: EventOf<K> } = {
  message_accepted: {
    kind: "message_accepted",
    entry: { ...ENTRY, payload: new Uint8Array() },
    lateSeconds: 3725,
  },
  message_duplicate: { kind: "message_duplicate", identity: ENTRY.deviceId },
  message_rejected: {
    kind: "message_rejected",
    identity: ENTRY.deviceId,
    rejection: reject("replayed"),
    messageId: ENTRY.messageId,
    bytes: new Uint8Array(),
  },
  messages_rejected: { kind: "messages_rejected", code: "replayed", count: 812 },
  log_lines_dropped: { kind: "log_lines_dropped", count: 3 },
  intake_paused: { kind: "intake_paused", maxPending: 100_000 },
  intake_resumed: { kind: "intake_resumed" },
  qos0_dropped: { kind: "qos0_dropped", count: 20 },
  caught_up: { kind: "caught_up" },
  catch_up_unconfirmed: { kind: "catch_up_unconfirmed" },
  store_failed: { kind: "store_failed", reason: "database or disk is full" },
  store_recovered: { kind: "store_recovered" },
  store_replaced: { kind: "store_replaced" },
  store_reopened: {
    kind: "store_reopened",
    reason: "sealed under 0a1b2c3d4e5f, and secrets.key there is none",
  },
  dead_letters_expired: {
    kind: "dead_letters_expired",
    count: 3,
    named: [{ deviceId: ENTRY.deviceId, messageId: ENTRY.messageId }],
    others: new Map([["sensor_002", 2]]),
  },
  clock_behind: { kind: "clock_behind", behindSeconds: 597 },
  clock_differs: { kind: "clock_differs", aheadSeconds: 597 },
  device_damaged: {
    kind: "device_damaged",
    deviceId: ENTRY.deviceId,
    reason: "its secret is not a text",
  },
  new_secret_used: { kind: "new_secret_used", deviceId: ENTRY.deviceId, generation: 2 },
  audit_head: { kind: "audit_head", sequence: 1204, hash: new Uint8Array(32) },
  delivery_started: { kind: "delivery_started", entry: ENTRY, waitedMs: 1 },
  message_delivered: { kind: "message_delivered", entry: ENTRY },
  callback_delivered: { kind: "callback_delivered", entry: CALLBACK },
  delivery_retried: {
    kind: "delivery_retried",
    entry: ENTRY,
    outcome: { kind: "no_answer", reason: "no answer within 10000 ms" },
    delayMs: 500,
  },
  message_dead_lettered: { kind: "message_dead_lettered", entry: ENTRY, reason: "status 422" },
  callback_dead_lettered: {
    kind: "callback_dead_lettered",
    entry: CALLBACK,
    reason: "status 422",
  },
  callbacks_dropped: { kind: "callbacks_dropped", count: 12 },
  delivery_stuck: {
    kind: "delivery_stuck",
    entry: ENTRY,
    outcome: {
      kind: "answer",
      status: 500,
      body: undefined,
      retryAfter: null,
      location: null,
      contentType: null,
    },
    ageMs: 3_725_000,
    tries: 128,
  },
  backend_outcome: {
    kind: "backend_outcome",
    outcome: { kind: "no_answer", reason: "connection refused" },
  },
  batch_answer_invalid: {
    kind: "batch_answer_invalid",
    reason: '"items" is not an array, at byte 9',
    count: 100,
  },
  backend_unreachable: {
    kind: "backend_unreachable",
    reason: "connection refused",
    waiting: WAITING,
  },
  backend_failing: {
    kind: "backend_failing",
    status: 308,
    location: "https://backend.example/device/sensor_001/data",
    waiting: WAITING,
  },
  backend_recovered: { kind: "backend_recovered", waiting: WAITING },
  response_refused: { kind: "response_refused", entry: ENTRY, reason: "Not authorized" },
  receipt_sent: { kind: "receipt_sent", result: "rejected" },
  receipt_dropped: { kind: "receipt_dropped", why: "limit" },
  receipts_refused: { kind: "receipts_refused" },
  receipts_allowed: { kind: "receipts_allowed" },
  broker_connected: { kind: "broker_connected" },
  broker_disconnected: { kind: "broker_disconnected" },
  broker_unreachable: {
    kind: "broker_unreachable",
    address: "127.0.0.1:8884",
    reason: "connection refused",
  },
  session_taken_over: { kind: "session_taken_over", clientId: "secure-iot-gateway-1f0c" },
  broker_dropped: { kind: "broker_dropped", count: 20 },
  command_accepted: {
    kind: "command_accepted",
    keyName: "backend",
    deviceId: "sensor_001",
    messageId: "660f9500-f30c-42e5-b827-557766551111",
    delivery: "queued",
  },
  command_state_changed: {
    kind: "command_state_changed",
    keyName: "backend",
    deviceId: "sensor_001",
    messageId: "660f9500-f30c-42e5-b827-557766551111",
    state: "done",
  },
  acknowledgement_unmatched: {
    kind: "acknowledgement_unmatched",
    identity: "sensor_001",
    messageId: "660f9500-f30c-42e5-b827-557766551111",
  },
  command_refused: {
    kind: "command_refused",
    keyName: "backend",
    deviceId: ENTRY.deviceId,
    messageId: undefined,
    reason: "not-json",
    count: 1,
  },
  api_key_refused: {
    kind: "api_key_refused",
    fault: "wrong key",
    count: 812,
    address: "192.0.2.1",
  },
  api_failed: { kind: "api_failed", part: "proxy", reason: "Too many open files (os error 24)" },
  api_key_imported: { kind: "api_key_imported", file: "api.key" },
  api_key_unknown: { kind: "api_key_unknown", file: "api.key" },
  api_key_missing: { kind: "api_key_missing" },
  file_expiry: { kind: "file_expiry", path: "certs/device-ca.crl", endSeconds: 1_727_712_000 },
  devices_expiring: { kind: "devices_expiring", count: 2 },
  expires_soon: {
    kind: "expires_soon",
    what: '"certs/broker.crt" expires in 12 days',
    expired: false,
  },
  gateway_started: {
    kind: "gateway_started",
    version: "0.1.0",
    database: "/srv/site/data/gateway.db",
    broker: "127.0.0.1:8884",
    api: "0.0.0.0:8443",
    backend: "https://backend.example",
    devices: 50,
    pending: 0,
  },
  gateway_stopped: { kind: "gateway_stopped", pending: 0 },
  worker_died: { kind: "worker_died", reason: "it does not answer", restartMs: 1000 },
  reloading: { kind: "reloading", changed: "broker.ca" },
  reloaded: { kind: "reloaded", changed: "broker.ca" },
  reload_failed: { kind: "reload_failed", reason: "broker.ca: Not ready within 10 s" },
  systemd_notify_failed: { kind: "systemd_notify_failed", reason: "Connection refused" },
};

/** What to do about an event of level warning or error. */
export const ACTIONS: Readonly<Record<string, string>> = {
  message_rejected: "`verify` explains one message; many of one code: see `audit export`",
  messages_rejected: "A flood of one code: see `audit export`",
  log_lines_dropped:
    "Look at the disk or the program that takes the log; `audit export` has each rejection",
  intake_paused: "Check the backend; nothing is lost while the broker has room",
  qos0_dropped: "Let devices publish with QoS 1",
  catch_up_unconfirmed: "Add the topic to `acl_gateway` and restart Mosquitto",
  store_failed: "Free disk space (`df -h`), or restore the database; it recovers by itself",
  store_replaced: "Nothing, if you replaced it; earlier message ids are forgotten",
  store_reopened: "Nothing, if you sealed the secrets or changed their key",
  dead_letters_expired: "Look at `dead list` more often, or raise the limits",
  clock_behind: "Correct the machine's clock",
  clock_differs: "Synchronise both clocks; `doctor` says what else it can compare",
  device_damaged: "`device rotate ID --secret`, and find out who wrote to the database",
  message_dead_lettered: "`dead show SEQUENCE`; then `dead retry` or `dead drop`",
  callback_dead_lettered: "`dead show SEQUENCE`; then `dead retry` or `dead drop`",
  callbacks_dropped: "Nothing, if `commands.callback` was to be switched off",
  delivery_stuck: "`outbox show SEQUENCE`; fix the backend, or `outbox drop SEQUENCE`",
  batch_answer_invalid: "Correct what the backend answers to a batch; readings wait",
  backend_failing: "See the backend's log; at 3xx, 401, 403, 404: `backend.url`; readings wait",
  backend_unreachable: "Start the backend; readings wait on the disk",
  receipts_refused:
    "`site upgrade` adds the topic to the access lists; receipts then go by themselves",
  response_refused: "Compare `acl_gateway` with a new site's; `doctor` does it",
  broker_disconnected: "Nothing, if it comes back: it reconnects by itself",
  session_taken_over: "Stop one of the two gateways; a further site is made with `init`",
  broker_unreachable: "Start Mosquitto; check `broker.host`, `broker.port` and the certificates",
  broker_dropped: "Find out why the gateway was down or full; raise the broker's limits",
  command_refused: "Correct the backend's request; the reason is the problem that it was told",
  api_key_refused: "Find out who it is; a backend with an old key: `key list`, `key add NAME`",
  api_failed: "See the reason: raise the limit of open files, or report it with the log",
  api_key_unknown: "`key list`; delete `api.key` if it is an old one",
  api_key_missing: "`key add NAME`",
  expires_soon:
    "Replace the file, then `systemctl reload secure-iot-gateway`; for devices `device rotate ID --certificate`",
  worker_died: "Nothing: it is restarted; if it happens again, report it with the log",
  reload_failed: "Correct what it names, then `systemctl reload secure-iot-gateway`",
  systemd_notify_failed: "Nothing; if it continues, systemd may restart the gateway",
};
