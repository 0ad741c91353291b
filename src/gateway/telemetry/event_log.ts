/** What the gateway tells the world of its work: log lines and counts. */

import type { Config } from "../../config/config.ts";
import type { Outcome } from "../../core/delivery.ts";
import type { Rejection } from "../../core/rejection.ts";
import type { Clock } from "../../time/clock.ts";
import type { Log } from "../../log/log.ts";
import type { Metrics } from "./metrics.ts";
import { RejectionLog } from "./rejection_log.ts";
import type { AuditHead } from "../../store/sqlite/audit_chain.ts";
import type { OutboxEntry, WaitingEntry } from "../../store/sqlite/outbox.ts";

/** Every event of intake and forwarder, as a line in the log, a count, or both. */
export class Report {
  readonly #config: Config;
  readonly #log: Log;
  readonly #metrics: Metrics;
  readonly #clock: Clock;
  readonly #rejections: RejectionLog;
  /** Sequence numbers of entries that did not come from the broker, until they are sent. */
  readonly #adopted = new Set<number>();

  constructor(config: Config, parts: { log: Log; metrics: Metrics; clock: Clock }) {
    this.#config = config;
    this.#log = parts.log;
    this.#metrics = parts.metrics;
    this.#clock = parts.clock;
    this.#rejections = new RejectionLog(parts.log);
  }

  accepted(entry: OutboxEntry): void {
    this.#metrics.accepted.inc();
    if (this.lateSeconds(entry) !== undefined) this.#metrics.late.inc();
    if (!this.#config.log.accepted) return;
    const message = `Accepted message from ${entry.deviceId}`;
    this.#log("info", "message_accepted", { message, ...namesOf(entry) });
  }

  adopted(entries: readonly WaitingEntry[]): void {
    for (const { sequence } of entries) this.#adopted.add(sequence);
  }

  duplicate(): void {
    this.#metrics.duplicates.inc();
  }

  rejected(rejection: Rejection, identity: string): void {
    this.#metrics.rejected.inc({ code: rejection.code });
    this.#rejections.add(rejection, identity);
  }

  storeFailed(error: Error): void {
    const message = `Cannot write the store, intake waits: ${error.message}`;
    this.#log("error", "store_failed", { message });
  }

  storeRecovered(): void {
    this.#log("info", "store_recovered", { message: "The store works again" });
  }

  storeReplaced(): void {
    const message = "A sound store stands in place of the lost one: starting anew on it";
    this.#log("warning", "store_replaced", { message });
  }

  trimmed(count: number): void {
    this.#metrics.trimmed.inc(count);
    const letters = count === 1 ? "dead letter" : "dead letters";
    const message = `Dropped ${count} ${letters}, the oldest: more than the limits allow`;
    this.#log("error", "dead_letters_dropped", { message, count });
  }

  paused(): void {
    const message = `The outbox is full, intake waits: ${this.#config.store.maxPending} entries`;
    this.#log("error", "intake_paused", { message });
  }

  resumed(): void {
    this.#log("info", "intake_resumed", { message: "The outbox has room, taking messages again" });
  }

  overrun(count: number): void {
    this.#metrics.overrun.inc(count);
    const message = `Dropped ${count} messages with QoS 0: too many wait to be taken`;
    this.#log("error", "intake_overrun", { message, count });
  }

  caughtUp(marked: boolean): void {
    if (marked) {
      return this.#log("info", "caught_up", { message: "Nothing older waits in the broker" });
    }
    const message = "The marker did not come back; is gateway/caught_up in the access list?";
    this.#log("warning", "caught_up", { message });
  }

  sending(entry: OutboxEntry, tries: number, nowMs: number): void {
    if (tries > 1 || this.#adopted.delete(entry.sequence)) return;
    this.#metrics.intakeToBackend.observe(Math.max(0, nowMs - entry.acceptedMs) / 1000);
  }

  delivered(): void {
    this.#metrics.delivered.inc();
  }

  retried(entry: OutboxEntry, outcome: Outcome, delayMs: number): void {
    this.#metrics.retried.inc();
    const reason = outcome.kind === "answer" ? `status ${outcome.status}` : outcome.reason;
    const message = `Trying again in ${Math.round(delayMs)} ms: ${reason}`;
    this.#log("debug", "delivery_retried", { message, ...namesOf(entry) });
  }

  buried(entry: OutboxEntry, reason: string): void {
    this.#metrics.buried.inc();
    const message = `Message from ${entry.deviceId} became a dead letter: ${reason}`;
    this.#log("error", "dead_letter", { message, ...namesOf(entry), sequence: entry.sequence });
  }

  gone(reason: string): void {
    this.#log("error", "backend_gone", { message: `The backend does not answer: ${reason}` });
  }

  back(): void {
    this.#log("info", "backend_back", { message: "The backend answers again" });
  }

  newSecretUsed(deviceId: string, generation: number): void {
    const message = `${deviceId} uses its secret number ${generation}: the one before can go`;
    this.#log("info", "new_secret_used", { message, device_id: deviceId, generation });
  }

  answerRefused(entry: OutboxEntry, reason: string): void {
    const message = `The broker refused an answer to ${entry.deviceId}: ${reason}`;
    this.#log("error", "answer_refused", { message, ...namesOf(entry) });
  }

  brokerDropped(count: number): void {
    this.#metrics.brokerDropped.inc(count);
    const message = `The broker has dropped ${count} messages: its queues were full`;
    this.#log("error", "broker_dropped", { message, count });
  }

  /** Warns of a clock that is behind what was already seen. */
  clock(newestSeconds: number): void {
    const behindSeconds = newestSeconds - Math.floor(this.#clock.wallMs() / 1000);
    if (behindSeconds <= this.#config.checks.toleranceSeconds) return;
    const message =
      `The clock is ${behindSeconds} s behind the newest message remembered: check it`;
    this.#log("error", "clock_behind", { message });
  }

  /** Names the devices whose secrets were altered in the store. */
  damagedSecrets(deviceIds: readonly string[]): void {
    for (const deviceId of deviceIds) {
      const message =
        `The secret of "${deviceId}" was altered in the store: nothing of it verifies`;
      this.#log("error", "secret_damaged", { message, device_id: deviceId });
    }
  }

  /** Keeps the audit's head where whoever alters the store does not reach. */
  auditHead({ sequence, hash }: AuditHead): void {
    const message = `The audit ends with entry ${sequence}`;
    this.#log("info", "audit_head", { message, sequence, head: hash.toHex() });
  }

  /** How old a message is, seconds, where that is more than the tolerance. */
  lateSeconds(entry: OutboxEntry): number | undefined {
    const ageSeconds = Math.floor(this.#clock.wallMs() / 1000) - Number(entry.timestamp);
    return ageSeconds > this.#config.checks.toleranceSeconds ? ageSeconds : undefined;
  }

  /** Writes what is still summed up. */
  flush(): void {
    this.#rejections.flush();
  }
}

function namesOf(entry: OutboxEntry) {
  return { device_id: entry.deviceId, message_id: entry.messageId };
}
