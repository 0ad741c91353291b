/**
 * Events as log lines: one table, in which each kind of event has its row.
 *
 * Lines that could come in floods are not in the table's hands alone: `rejection_log.ts` limits
 * the rate of rejections, and accepted messages are only logged if the settings say so.
 */

import { counted } from "../core/counted.ts";
import { type Outcome, shownLocation } from "../core/delivery.ts";
import type { EntryNames, EventOf, GatewayEvent, Waiting } from "../core/event.ts";
import { isCallback } from "../core/outbox_entry.ts";
import { type Rejection, rejectionSentence } from "../core/rejection.ts";
import { isWrongBackend } from "../core/retry_statuses.ts";
import { aheadInWords, secondsOf } from "../core/time.ts";
import type { Log, LogLevel, LogProperties } from "./log.ts";
import { RejectionLog } from "./rejection_log.ts";

/** Most devices whose dropped dead letters are summed up in one line. */
const SUMMED_DEVICES_MAX = 50;

/** A log line without its event's name. */
interface Line {
  readonly level: LogLevel;
  readonly message: string;
  readonly properties?: LogProperties;
}

type Kind = GatewayEvent["kind"];

/** Longest identity that is written out, in characters; a CN may be longer than any device id. */
const IDENTITY_MAX_CHARS = 80;

/** What failed, as `api_failed` says it. */
const API_FAILURES: Readonly<Record<EventOf<"api_failed">["part"], string>> = {
  proxy: "The API cannot accept a connection",
  server: "The API stopped listening",
  request: "The API failed to answer a request",
};

/** The log line of each event; undefined: it has none. */
const LINES = {
  message_accepted: ({ entry }) => info(`Accepted message from ${entry.deviceId}`, namesOf(entry)),
  message_duplicate: undefined,
  message_rejected: ({ rejection, identity, messageId }) => {
    const { code, secondsOff } = rejection;
    const from = identity.slice(0, IDENTITY_MAX_CHARS);
    return warning(rejectionSentence(rejection, from) + byHowMuch(rejection), {
      code,
      device_id: from,
      message_id: messageId,
      seconds_off: secondsOff,
    });
  },
  messages_rejected: ({ code, count }) =>
    warning(`Rejected ${count} more messages within a second: ${code}`, { code, count }),
  log_lines_dropped: ({ count }) =>
    error(`Dropped ${count} lines before the last one: the log could not be written`, { count }),
  intake_paused: ({ maxPending }) =>
    error(`The outbox is full: intake waits at ${counted(maxPending, "entry", "entries")}`),
  intake_resumed: () => info("The outbox has room: taking messages again"),
  qos0_dropped: ({ count }) =>
    error(`Dropped ${count} QoS 0 messages: the intake queue is full`, { count }),
  caught_up: () => info("Caught up: nothing older waits in the broker"),
  catch_up_unconfirmed: () =>
    warning("The catch-up marker did not come back: add gateway/caught_up to the access list"),
  store_failed: ({ reason }) => error(`Cannot write to the database, intake waits: ${reason}`),
  store_recovered: () => info("The database can be written again"),
  store_replaced: () =>
    warning("The store was replaced, or given to another gateway for a while: starting again"),
  store_reopened: ({ reason }) => info(`Restarting with the new sealing keys: ${reason}`),
  dead_letters_expired: ({ count, named, others }) =>
    error(
      `Dropped the ${count === 1 ? "oldest dead letter" : `${count} oldest dead letters`}: ` +
        "more than dead_letters.max_count or older than dead_letters.max_age",
      {
        count,
        dropped: named.map(({ deviceId, messageId }) => `${deviceId} ${messageId}`).join(", "),
        ...(others.size > 0 && { others: sumOf(others) }),
      },
    ),
  lease_lapsed: ({ reason }) =>
    warning(`Nothing is sent, since others may send it now: the lease is over: ${reason}`),
  node_adopted: ({ node, entries }) =>
    warning(`Gateway ${node} is not heard of any longer: sending the ${entries} entries it left`, {
      node,
      entries,
    }),
  mail_refused: ({ number }) =>
    error(`Mail ${number} of another gateway is not published: no gateway writes it like that`),
  store_clock_differs: ({ aheadSeconds }) =>
    warning(`This machine's clock is ${aheadInWords(aheadSeconds)} the store's`),
  clock_behind: ({ behindSeconds }) =>
    error(`The clock is ${behindSeconds} s behind the newest accepted message: check it`),
  clock_differs: ({ aheadSeconds }) =>
    warning(`The backend's clock is ${aheadInWords(aheadSeconds)} this one: one of them is wrong`),
  device_damaged: ({ deviceId, reason }) =>
    error(`Messages of ${deviceId} are refused, its row in the database is damaged: ${reason}`, {
      device_id: deviceId,
    }),
  new_secret_used: ({ deviceId, generation }) =>
    info(`${deviceId} uses its secret number ${generation}: the previous one can be removed`, {
      device_id: deviceId,
      generation,
    }),
  audit_head: ({ sequence, hash }) =>
    info(`The audit log ends with entry ${sequence}`, { sequence, head: hash.toHex() }),
  delivery_started: undefined,
  message_delivered: undefined,
  callback_delivered: undefined,
  delivery_retried: ({ entry, outcome, delayMs }) =>
    debug(
      `Trying again in ${Math.round(delayMs)} ms: ` +
        lastOf(outcome),
      namesOf(entry),
    ),
  message_dead_lettered: ({ entry, reason }) =>
    error(`Message from ${entry.deviceId} became a dead letter: ${reason}`, {
      ...namesOf(entry),
      sequence: entry.sequence,
    }),
  callback_dead_lettered: ({ entry, reason }) =>
    error(
      `The callback that a command to ${entry.deviceId} is ${entry.commandState} became a dead ` +
        `letter: ${reason}`,
      { ...namesOf(entry), sequence: entry.sequence },
    ),
  callbacks_dropped: ({ count }) =>
    warning(`Dropped ${counted(count, "callback")} that waited: commands.callback is empty`, {
      count,
    }),
  delivery_stuck: ({ entry, outcome, ageMs, tries }) =>
    warning(
      `A ${isCallback(entry) ? "callback" : "reading"} holds up ${entry.deviceId}: ` +
        `${lastOf(outcome)}, ${tries} tries, ${secondsOf(ageMs)} s old${pathDoubt(entry, outcome)}`,
      {
        ...namesOf(entry),
        sequence: entry.sequence,
        status: outcome.kind === "answer" ? outcome.status : undefined,
        age_seconds: secondsOf(ageMs),
        tries,
      },
    ),
  backend_outcome: undefined,
  batch_answer_invalid: ({ reason, count }) =>
    error(
      `The answer to a batch of ${count} is not as agreed, all of it goes again: ${reason}`,
      { count },
    ),
  backend_unreachable: ({ reason, waiting }) =>
    error(`The backend does not answer: ${reason}`, waitingOf(waiting)),
  backend_untrusted: ({ reason }) => error(`The backend cannot be trusted: ${reason}`),
  backend_failing: ({ status, location, waiting }) =>
    error(
      `The backend answers ${status}` +
        (location === undefined ? "" : `, Location "${shownLocation(location)}"`) +
        (isWrongBackend(status) ? " (is backend.url right?)" : "") +
        `; readings of ${devicesOf(waiting)} wait`,
      { status, ...waitingOf(waiting) },
    ),
  backend_recovered: ({ waiting }) =>
    info(`The backend takes readings again; ${devicesOf(waiting)} waited`, waitingOf(waiting)),
  response_refused: ({ entry, reason }) =>
    error(`The broker refused a response to ${entry.deviceId}: ${reason}`, namesOf(entry)),
  receipt_sent: undefined,
  receipt_dropped: undefined,
  receipts_refused: () =>
    warning(
      "The broker refuses receipts, so they are off: its access lists do not allow their topic, " +
        "type secure-iot-gateway site upgrade",
    ),
  receipts_allowed: () => info("The broker takes receipts again"),
  broker_connected: () => info("Connected to the broker"),
  broker_disconnected: () => warning("Disconnected from the broker"),
  broker_unreachable: ({ address, reason }) =>
    error(`Cannot reach the broker at ${address}: ${reason}`),
  session_taken_over: ({ clientId }) =>
    error(`The session ${clientId} is taken over again and again: does this site run twice?`),
  broker_dropped: ({ count }) =>
    error(`The broker dropped ${counted(count, "message")}: its queues were full`, { count }),
  command_accepted: ({ keyName, deviceId, messageId, delivery }) =>
    info(`Command of key ${keyName} to ${deviceId}: ${delivery}`, {
      ...{ key_name: keyName, device_id: deviceId, message_id: messageId, delivery },
    }),
  command_cancelled: ({ keyName, deviceId, messageId, state }) => {
    const end = state === "cancelled"
      ? ""
      : `; it is ${state} already, and no more copies are sent`;
    return info(`Key ${keyName} cancelled a command to ${deviceId}${end}`, {
      ...{ key_name: keyName, device_id: deviceId, message_id: messageId, state },
    });
  },
  command_state_changed: ({ keyName, deviceId, messageId, state }) =>
    info(`Command of key ${keyName} to ${deviceId} is ${state}`, {
      ...{ key_name: keyName, device_id: deviceId, message_id: messageId, state },
    }),
  acknowledgement_unmatched: ({ identity, messageId }) =>
    debug(`Ignored an acknowledgement by ${identity}: there is no such command`, {
      ...{ device_id: identity, message_id: messageId },
    }),
  command_refused: ({ keyName, deviceId, messageId, reason, count }) => {
    const device = deviceId.slice(0, IDENTITY_MAX_CHARS);
    const commands = count === 1 ? "a command" : `${count} more commands`;
    const to = count === 1 ? `to ${device}` : `within a minute, the last to ${device}`;
    return warning(`Did not send ${commands} of key ${keyName} ${to}: ${reason}`, {
      key_name: keyName,
      device_id: device,
      message_id: messageId,
      reason,
      count,
    });
  },
  session_begun: ({ keyName, address }) =>
    info(`Logged in at the page with key ${keyName}, from ${address}`, {
      key_name: keyName,
      address,
    }),
  operator_acted: ({ keyName, action, deviceId, messageId, count }) =>
    info(`Key ${keyName}${deviceId === undefined ? "" : `, for ${deviceId}`}: ${count} ${action}`, {
      key_name: keyName,
      device_id: deviceId,
      message_id: messageId,
      action,
      count,
    }),
  api_key_refused: ({ fault, count, address }) => {
    const requests = count === 1 ? "a request" : `${count} requests`;
    const properties = { fault, count, address };
    return fault === "wrong key"
      ? warning(`Refused ${requests} with a wrong API key, the last from ${address}`, properties)
      : info(`Refused ${requests} without an API key, the last from ${address}`, properties);
  },
  api_failed: ({ part, reason }) => error(`${API_FAILURES[part]}: ${reason}`, { part }),
  api_key_imported: ({ file }) => info(`Imported the API key in "${file}" as a hash`),
  api_key_unknown: ({ file }) =>
    warning(`The API key in "${file}" is not registered: run key list`),
  api_key_missing: () => warning("The API has no key, every request is refused: run key add"),
  file_expiry: undefined,
  devices_expiring: undefined,
  expires_soon: ({ what, expired }) => expired ? error(what) : warning(what),
  gateway_started: ({ kind: _, ...facts }) =>
    info(`Taking messages from ${counted(facts.devices, "device")}`, facts),
  gateway_stopped: ({ pending }) =>
    info(`Stopped: ${counted(pending, "entry", "entries")} left in the outbox`, { pending }),
  worker_died: ({ reason, restartMs }) =>
    error(`The worker ended: ${reason}; restarting in ${restartMs} ms`),
  reloading: ({ changed }) => info(`Reloading: ${changed}`, { changed }),
  reloaded: ({ changed }) =>
    changed === "" ? info("Reloaded: nothing changed") : info(`Reloaded: ${changed}`, { changed }),
  reload_failed: ({ reason }) =>
    error(`Reload failed, still using the previous configuration: ${reason}`),
  systemd_notify_failed: ({ reason }) => warning(`Cannot notify systemd: ${reason}`),
} as const satisfies { [K in Kind]: ((event: EventOf<K>) => Line) | undefined };

/** What the log is told by the settings. */
interface EventLogOptions {
  /** True if each accepted message has a line. */
  readonly accepted: boolean;
}

/** Writes events to a log. */
export class EventLog {
  readonly #log: Log;
  readonly #options: EventLogOptions;
  readonly #rejections: RejectionLog;
  readonly #takeDropped: () => number;

  /** `takeDropped`: how many lines were lost before the last one, told once. */
  constructor(log: Log, options: EventLogOptions, takeDropped: () => number = () => 0) {
    this.#log = log;
    this.#takeDropped = takeDropped;
    this.#options = options;
    this.#rejections = new RejectionLog((event) => this.#write(event));
  }

  /** Writes the event's line, if it has one. */
  write(event: GatewayEvent): void {
    if (event.kind === "message_rejected") return this.#rejections.add(event);
    if (event.kind === "message_accepted" && !this.#options.accepted) return;
    this.#write(event);
  }

  /** Writes what is still summed up. */
  flush(): void {
    this.#rejections.flush();
  }

  #write(event: GatewayEvent): void {
    const lineOf = LINES[event.kind] as ((event: GatewayEvent) => Line) | undefined;
    if (lineOf === undefined) return;
    const { level, message, properties } = lineOf(event);
    this.#log(level, event.kind, { message, ...properties });
    const count = this.#takeDropped();
    if (count > 0) this.#write({ kind: "log_lines_dropped", count });
  }
}

/** How far a timestamp is out of range, after the reason's fixed sentence. */
function byHowMuch({ secondsOff }: Rejection): string {
  return secondsOff === undefined ? "" : `: ${aheadInWords(secondsOff)} the gateway's clock`;
}

function debug(message: string, properties?: LogProperties): Line {
  return line("debug", message, properties);
}

function info(message: string, properties?: LogProperties): Line {
  return line("info", message, properties);
}

function warning(message: string, properties?: LogProperties): Line {
  return line("warning", message, properties);
}

function error(message: string, properties?: LogProperties): Line {
  return line("error", message, properties);
}

function line(level: LogLevel, message: string, properties?: LogProperties): Line {
  return { level, message, ...(properties && { properties }) };
}

/** So many of each device, for the first devices. */
function sumOf(counts: ReadonlyMap<string, number>): string {
  const first = [...counts].slice(0, SUMMED_DEVICES_MAX);
  const rest = counts.size - first.length;
  const parts = first.map(([deviceId, count]) => `${deviceId}: ${count}`);
  return [...parts, ...(rest > 0 ? [`and of ${rest} more devices`] : [])].join(", ");
}

function lastOf(outcome: Outcome): string {
  return outcome.kind === "answer" ? `status ${outcome.status}` : outcome.reason;
}

function devicesOf({ devices }: Waiting): string {
  return counted(devices, "device");
}

function waitingOf({ devices, oldest }: Waiting): LogProperties {
  return {
    devices_waiting: devices,
    oldest_device_id: oldest?.deviceId,
    oldest_age_seconds: oldest && secondsOf(oldest.ageMs),
  };
}

/** A callback has a path of its own, which no reading shows to be right. */
function pathDoubt(entry: EntryNames, outcome: Outcome): string {
  const isDoubtful = outcome.kind === "answer" && isWrongBackend(outcome.status);
  return isCallback(entry) && isDoubtful ? ": is commands.callback right?" : "";
}

function namesOf({ deviceId, messageId, commandState }: EntryNames): LogProperties {
  return { device_id: deviceId, message_id: messageId, state: commandState };
}
