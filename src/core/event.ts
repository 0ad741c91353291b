/**
 * Everything that can happen in the running program, as values.
 *
 * The log lines and the metrics are two tables over this union, `log/event_log.ts` and
 * `gateway/telemetry/event_metrics.ts`: a kind that is missing in one of them is a type error. A
 * third, `src/build/event_samples.ts`, has an example of each for the docs.
 * Events are only shown and entered in the audit; they never control anything.
 */

import type { CommandDelivery, CommandState } from "./command_life.ts";
import type { ExpiredDeadLetters, Outcome } from "./delivery.ts";
import type { OutboxEntry } from "./outbox_entry.ts";
import type { ReceiptDrop, ReceiptResult } from "./receipt.ts";
import type { Rejection, RejectionCode } from "./rejection.ts";

/** How an event identifies an entry: its device and its message, and of a callback the state. */
export type EntryNames = Pick<
  OutboxEntry,
  "deviceId" | "messageId" | "sequence" | "commandState"
>;

/** What waits for the backend. */
export interface Waiting {
  /** Devices of which a reading waits. */
  readonly devices: number;
  /** The one whose reading has waited longest, of those that were tried; undefined if none was. */
  readonly oldest: { readonly deviceId: string; readonly ageMs: number } | undefined;
}

/** A message, from the broker to the disk. */
type IntakeEvent =
  /** `lateSeconds`: its age, if it waited longer than the tolerance. */
  | {
    readonly kind: "message_accepted";
    readonly entry: EntryNames & Pick<OutboxEntry, "payload">;
    readonly lateSeconds: number | undefined;
  }
  /** The broker delivered again a message that is already stored. */
  | { readonly kind: "message_duplicate"; readonly identity: string }
  /** `messageId` is undefined if none could be read; `bytes` is the whole message, never logged. */
  | {
    readonly kind: "message_rejected";
    readonly identity: string;
    readonly rejection: Rejection;
    readonly messageId: string | undefined;
    readonly bytes: Uint8Array;
  }
  /** Rejections within a second that have no log line of their own. */
  | {
    readonly kind: "messages_rejected";
    readonly code: RejectionCode;
    readonly count: number;
  }
  /** Log lines that could not be written, until one could. */
  | { readonly kind: "log_lines_dropped"; readonly count: number }
  | { readonly kind: "intake_paused"; readonly maxPending: number }
  | { readonly kind: "intake_resumed" }
  | { readonly kind: "qos0_dropped"; readonly count: number }
  | { readonly kind: "caught_up" }
  | { readonly kind: "catch_up_unconfirmed" };

/** The store. */
type StoreEvent =
  | { readonly kind: "store_failed"; readonly reason: string }
  | { readonly kind: "store_recovered" }
  | { readonly kind: "store_replaced" }
  | { readonly kind: "store_reopened"; readonly reason: string }
  | { readonly kind: "dead_letters_expired" } & ExpiredDeadLetters
  /** This gateway could not renew its lease in time: it sends nothing until it can. */
  | { readonly kind: "lease_lapsed"; readonly reason: string }
  /** Another gateway is dead, and this one sends what it has left. */
  | { readonly kind: "node_adopted"; readonly node: string; readonly entries: number }
  /** What was put into the store for this gateway's broker is not as another gateway writes it. */
  | { readonly kind: "mail_refused"; readonly number: number }
  /** This machine's clock is so much ahead of the store's; negative: behind. */
  | { readonly kind: "store_clock_differs"; readonly aheadSeconds: number }
  | { readonly kind: "clock_behind"; readonly behindSeconds: number }
  /** The backend's clock is so much ahead of this one; negative: behind. */
  | { readonly kind: "clock_differs"; readonly aheadSeconds: number }
  | { readonly kind: "device_damaged"; readonly deviceId: string; readonly reason: string }
  | { readonly kind: "new_secret_used"; readonly deviceId: string; readonly generation: number }
  | { readonly kind: "audit_head"; readonly sequence: number; readonly hash: Uint8Array };

/** An entry, from the outbox to the backend and its answer to the device. */
type DeliveryEvent =
  /** `waitedMs`: since it was accepted, at the first try of a message that came from the broker. */
  | {
    readonly kind: "delivery_started";
    readonly entry: EntryNames;
    readonly waitedMs: number | undefined;
  }
  /** The backend has taken a reading. */
  | { readonly kind: "message_delivered"; readonly entry: EntryNames }
  /** It has taken a command's new state. */
  | { readonly kind: "callback_delivered"; readonly entry: EntryNames }
  | {
    readonly kind: "delivery_retried";
    readonly entry: EntryNames;
    readonly outcome: Outcome;
    readonly delayMs: number;
  }
  | {
    readonly kind: "message_dead_lettered";
    readonly entry: EntryNames;
    readonly reason: string;
  }
  | {
    readonly kind: "callback_dead_lettered";
    readonly entry: EntryNames;
    readonly reason: string;
  }
  /** So many that an earlier run has left: nobody is told any longer. */
  | { readonly kind: "callbacks_dropped"; readonly count: number }
  /** An entry that holds up its device; said again at growing pauses. */
  | {
    readonly kind: "delivery_stuck";
    readonly entry: EntryNames;
    readonly outcome: Outcome;
    readonly ageMs: number;
    readonly tries: number;
  }
  /** Each request's outcome. */
  | { readonly kind: "backend_outcome"; readonly outcome: Outcome }
  /** The answer to a batch of so many readings is not as agreed; said again at growing pauses. */
  | { readonly kind: "batch_answer_invalid"; readonly reason: string; readonly count: number }
  | { readonly kind: "backend_unreachable"; readonly reason: string; readonly waiting: Waiting }
  /** Looked at when the gateway started: nothing can be sent to a backend with this certificate. */
  | { readonly kind: "backend_untrusted"; readonly reason: string }
  /** It answers, but does not take the readings; `location` where it redirects. */
  | {
    readonly kind: "backend_failing";
    readonly status: number;
    readonly location: string | undefined;
    readonly waiting: Waiting;
  }
  | { readonly kind: "backend_recovered"; readonly waiting: Waiting }
  | { readonly kind: "response_refused"; readonly entry: EntryNames; readonly reason: string };

/** What devices are told of their messages. */
type ReceiptEvent =
  | { readonly kind: "receipt_sent"; readonly result: ReceiptResult }
  | { readonly kind: "receipt_dropped"; readonly why: ReceiptDrop }
  /** The broker does not let the gateway publish them; told once until it does. */
  | { readonly kind: "receipts_refused" }
  | { readonly kind: "receipts_allowed" };

/** The connection to the broker. */
type BrokerEvent =
  | { readonly kind: "broker_connected" }
  | { readonly kind: "broker_disconnected" }
  | { readonly kind: "broker_unreachable"; readonly address: string; readonly reason: string }
  /** Another client connects with our client id; told once until that is over. */
  | { readonly kind: "session_taken_over"; readonly clientId: string }
  | { readonly kind: "broker_dropped"; readonly count: number };

/** A command that was not sent, or the last one of so many of one key for one reason. */
export interface CommandRefusal {
  readonly keyName: string;
  /** What the path says, any text. */
  readonly deviceId: string;
  /** Undefined if it was refused before it got one. */
  readonly messageId: string | undefined;
  /** The problem that was answered. */
  readonly reason: string;
}

/** What a key that operates can do about messages. */
export type OperatorAction =
  | "dead letters retried"
  | "dead letters dropped"
  | "outbox entry dropped";

/** What can be wrong with a request's API key. */
export const KEY_FAULTS = ["wrong key", "no key"] as const;
export type KeyFault = typeof KEY_FAULTS[number];

/** The API and its keys. */
type ApiEvent =
  /** `keyName` is the name of the API key. */
  | {
    readonly kind: "command_accepted";
    readonly keyName: string;
    readonly deviceId: string;
    readonly messageId: string;
    readonly delivery: CommandDelivery;
  }
  /** Something is known of a command that was not known when it was accepted. */
  | {
    readonly kind: "command_state_changed";
    readonly keyName: string;
    readonly deviceId: string;
    readonly messageId: string;
    readonly state: CommandState;
  }
  /** Somebody has ended a command as far as that can be done; `keyName` is that one's key. */
  | {
    readonly kind: "command_cancelled";
    readonly keyName: string;
    readonly deviceId: string;
    readonly messageId: string;
    /** `cancelled`, or how far it has come: no more copies are sent then. */
    readonly state: CommandState;
  }
  /** A device acknowledges what is no command of its own, or of none that is kept. */
  | {
    readonly kind: "acknowledgement_unmatched";
    readonly identity: string;
    readonly messageId: string;
  }
  | { readonly kind: "command_refused"; readonly count: number } & CommandRefusal
  /** Somebody has logged in at the page with a key. */
  | { readonly kind: "session_begun"; readonly keyName: string; readonly address: string }
  /** Somebody has done something about messages; without a device: of all that the key is for. */
  | {
    readonly kind: "operator_acted";
    readonly keyName: string;
    readonly action: OperatorAction;
    readonly deviceId: string | undefined;
    readonly messageId: string | undefined;
    readonly count: number;
  }
  /** Requests without the right key, at most once a minute for each fault; the last one's address. */
  | {
    readonly kind: "api_key_refused";
    readonly fault: KeyFault;
    readonly count: number;
    readonly address: string;
  }
  /** `part` is what failed: the public listener, the gateway's behind it, or one request. */
  | {
    readonly kind: "api_failed";
    readonly part: "proxy" | "server" | "request";
    readonly reason: string;
  }
  | { readonly kind: "api_key_imported"; readonly file: string }
  | { readonly kind: "api_key_unknown"; readonly file: string }
  | { readonly kind: "api_key_missing" };

/** Certificates and revocation lists that expire. */
type ExpiryEvent =
  /** Earliest expiry in a file, Unix seconds; reported at each check. */
  | { readonly kind: "file_expiry"; readonly path: string; readonly endSeconds: number }
  /** How many devices have a certificate that expires soon; reported at each check. */
  | { readonly kind: "devices_expiring"; readonly count: number }
  /** Reported at most once a day. `what` names what has expired or expires soon. */
  | { readonly kind: "expires_soon"; readonly what: string; readonly expired: boolean };

/** The life of one gateway. */
type LifeEvent =
  /** `broker` and `api` as `host:port`; `backend` is an origin, so that no path or query is told. */
  | {
    readonly kind: "gateway_started";
    readonly version: string;
    readonly database: string;
    readonly broker: string;
    readonly api: string;
    readonly backend: string;
    readonly devices: number;
    readonly pending: number;
  }
  | { readonly kind: "gateway_stopped"; readonly pending: number };

/** The main process, which runs gateways in workers. */
type ProcessEvent =
  /** `restartMs`: how long it waits until it starts another. */
  | { readonly kind: "worker_died"; readonly reason: string; readonly restartMs: number }
  /** `changed` names the settings, as `broker.ca, log.level`. */
  | { readonly kind: "reloading"; readonly changed: string }
  /** `changed` is empty if there was nothing to do. */
  | { readonly kind: "reloaded"; readonly changed: string }
  | { readonly kind: "reload_failed"; readonly reason: string }
  | { readonly kind: "systemd_notify_failed"; readonly reason: string };

/** Everything that can happen in the running program. */
export type GatewayEvent =
  | IntakeEvent
  | StoreEvent
  | DeliveryEvent
  | ReceiptEvent
  | BrokerEvent
  | ApiEvent
  | ExpiryEvent
  | LifeEvent
  | ProcessEvent;

/** The event of one kind. */
export type EventOf<Kind extends GatewayEvent["kind"]> = Extract<GatewayEvent, { kind: Kind }>;

/** Reports an event to the log and the metrics. */
export type Emit = (event: GatewayEvent) => void;
