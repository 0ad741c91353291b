/**
 * What is written in one transaction: verdicts and their traces, and what the forwarder has settled.
 *
 * The rules are:
 * - an id is remembered in the transaction that puts its message into the outbox, or not at all;
 * - what another process has put into the outbox is taken over before anything is added behind it;
 * - ids are forgotten, dead letters trimmed and the mark of attendance kept along with it.
 */

import type { Outage } from "../../core/outage.ts";
import type { Settlement } from "../../core/delivery.ts";
import type { Envelope } from "../../core/envelope.ts";
import { type FreshnessLimits, freshRange, oldestRemembered } from "../../core/freshness.ts";
import { type Rate, refill, type TokenBucket } from "../../core/token_bucket.ts";
import type { Rejection } from "../../core/rejection.ts";
import { decide, type Duplicate, type Facts } from "../../core/verdict.ts";
import type { DeadLetterLimits, DeadLetters } from "../../store/sqlite/dead_letters.ts";
import type { Outbox, OutboxEntry, WaitingEntry } from "../../store/sqlite/outbox.ts";
import type { ReplayGuard } from "../../store/sqlite/replay_guard.ts";
import type { Database } from "../../store/sqlite/database.ts";
import type { Clock } from "../../time/clock.ts";
import type { RejectedMessage, RejectionAudit } from "../../store/sqlite/rejection_audit.ts";

/** Seconds between two marks of attendance on the disk, where nothing else is written. */
const MARK_EVERY_SECONDS = 10;

/** What the ledger works with. */
export interface LedgerParts {
  readonly clock: Clock;
  /** Unix milliseconds that never step. */
  readonly steadyMs: () => number;
  readonly store: Database;
  readonly replayGuard: ReplayGuard;
  readonly outbox: Outbox;
  readonly deadLetters: DeadLetters;
  readonly attendance: Outage;
  readonly rejectionAudit: RejectionAudit;
}

/** What it goes by. */
export interface LedgerLimits extends FreshnessLimits {
  /** Undefined: no limit. */
  readonly rate: Rate | undefined;
  readonly deadLetters: DeadLetterLimits;
}

/** A message that was read and verified, and waits for its verdict. */
export interface Candidate {
  readonly envelope: Envelope;
  readonly facts: Pick<Facts, "identity" | "retained" | "status" | "signedPayload">;
  readonly redelivered: boolean;
  /** Wall clock when it came, Unix milliseconds. */
  readonly arrivedMs: number;
}

/** What became of a message: an entry in the outbox, or why not. */
export type Entered = OutboxEntry | Duplicate | Rejection;

/** What one commit did. */
export interface Committed {
  /** For each message of the batch, in its order. */
  readonly entered: readonly Entered[];
  /** Entries that another process has put into the outbox. */
  readonly adopted: readonly WaitingEntry[];
  /** Dead letters that were dropped because there were too many, or too old ones. */
  readonly trimmed: number;
  /** True where more is to be tidied. */
  readonly untidy: boolean;
}

/** The ledger. */
export class Ledger {
  readonly #parts: LedgerParts;
  readonly #limits: LedgerLimits;
  readonly #buckets = new Map<string, TokenBucket>();
  #pending = 0;
  #lastSequence = 0;
  #dataVersion: number;
  #markedSeconds = 0;

  constructor(parts: LedgerParts, limits: LedgerLimits) {
    this.#parts = parts;
    this.#limits = limits;
    this.#dataVersion = parts.store.dataVersion();
  }

  /** Every entry in the outbox at start, in order; call it once, before anything is committed. */
  *backlog(): Iterable<WaitingEntry> {
    for (const entry of this.#parts.outbox.after(0)) {
      this.#pending++;
      this.#lastSequence = entry.sequence;
      yield entry;
    }
  }

  /** Entries in the outbox. */
  get pending(): number {
    return this.#pending;
  }

  /**
   * One transaction, on the disk when this returns; throws where nothing was written.
   * `heldSinceMs`: when the oldest message came that is not in the batch yet, wall clock;
   * `identityOf`: of the message at that place in the batch.
   */
  commit(
    batch: readonly (Candidate | Rejection)[],
    settlements: readonly Settlement[],
    options: {
      readonly tidy: boolean;
      readonly heldSinceMs: number | undefined;
      readonly identityOf: (place: number) => string;
    },
  ): Committed {
    const taken = new Map<string, TokenBucket>();
    let dataVersion = this.#dataVersion;
    const { replayGuard } = this.#parts;
    const wallMs = this.#parts.clock.wallMs();
    const committed = this.#parts.store.transaction(() => {
      replayGuard.begin(seconds(wallMs), this.#limits.toleranceSeconds);
      for (const settlement of settlements) this.#settle(settlement);
      dataVersion = this.#parts.store.dataVersion();
      const adopted = this.#adopt(dataVersion);
      const forgottenSeconds = replayGuard.forgottenSeconds();
      const entered = batch.map((one) =>
        "kind" in one ? one : this.#enter(one, forgottenSeconds, taken)
      );
      this.#keepAttendance(entered.length > 0);
      const tidied = options.tidy ? this.#tidy(options.heldSinceMs) : { trimmed: 0, untidy: false };
      replayGuard.end();
      const audited = this.#parts.rejectionAudit.enter(rejectedOf(entered, options.identityOf), {
        tidy: options.tidy,
        wallMs,
      });
      return { entered, adopted, audited, ...tidied };
    });
    replayGuard.keep();
    this.#parts.rejectionAudit.keep(committed.audited);
    this.#dataVersion = dataVersion; // not before: what a failed commit has seen is still news
    this.#note(committed, settlements.length, taken);
    return committed;
  }

  #settle({ sequence, deadLetter }: Settlement): void {
    if (deadLetter) this.#parts.deadLetters.deadLetter(sequence, deadLetter);
    this.#parts.outbox.remove(sequence);
  }

  #adopt(dataVersion: number): WaitingEntry[] {
    if (dataVersion === this.#dataVersion) return [];
    const { outbox, steadyMs } = this.#parts;
    outbox.reassignAcceptTime(this.#lastSequence, steadyMs()); // the other's clock may not be ours
    return [...outbox.after(this.#lastSequence)];
  }

  /** The verdict on one message, and its traces in the store where it is accepted. */
  #enter(one: Candidate, forgottenSeconds: number, taken: Map<string, TokenBucket>): Entered {
    const { deviceId, messageId, timestamp, timestampSeconds } = one.envelope;
    const { replayGuard, outbox, clock, attendance, steadyMs } = this.#parts;
    const { rate } = this.#limits;
    const bucket = rate &&
      refill(taken.get(deviceId) ?? this.#buckets.get(deviceId), rate, clock.monotonicMs());
    const nowSeconds = seconds(one.arrivedMs);
    const { outageSinceSeconds } = attendance;
    const verdict = decide(one.envelope, {
      ...one.facts,
      redelivered: one.redelivered,
      range: freshRange({ nowSeconds, outageSinceSeconds, forgottenSeconds }, this.#limits),
      remembered: replayGuard.remembers(deviceId, messageId),
      withinRate: bucket === undefined || bucket.tokens >= 1,
    });
    if (verdict.kind !== "accepted") return verdict;
    if (bucket) taken.set(deviceId, { ...bucket, tokens: bucket.tokens - 1 });
    if (timestampSeconds < nowSeconds - this.#limits.toleranceSeconds) {
      attendance.lateCame(clock.monotonicMs());
    }
    replayGuard.remember(deviceId, messageId, timestampSeconds);
    const payload = new Uint8Array(verdict.payload); // a copy: the slice would hold on to its chunk
    return outbox.append({ deviceId, messageId, timestamp, payload, acceptedMs: steadyMs() });
  }

  #keepAttendance(written: boolean): void {
    const nowSeconds = seconds(this.#parts.clock.wallMs());
    const attended = this.#parts.attendance.touch(nowSeconds);
    const everySeconds = written ? 1 : MARK_EVERY_SECONDS;
    if (attended === undefined || Math.abs(attended - this.#markedSeconds) < everySeconds) return;
    this.#parts.store.writeMark("attended_seconds", attended);
    this.#markedSeconds = attended;
  }

  /** Forgets ids that can no longer matter, even for what is still held; trims the dead letters. */
  #tidy(heldSinceMs: number | undefined): Pick<Committed, "trimmed" | "untidy"> {
    const wallMs = this.#parts.clock.wallMs();
    const { outageSinceSeconds } = this.#parts.attendance;
    const nowSeconds = seconds(Math.min(wallMs, heldSinceMs ?? Infinity));
    const oldest = oldestRemembered({ nowSeconds, outageSinceSeconds }, this.#limits);
    const untidy = this.#parts.replayGuard.forget(oldest);
    return { untidy, trimmed: this.#parts.deadLetters.expire(this.#limits.deadLetters, wallMs) };
  }

  /** What is only true once the commit is on the disk. */
  #note({ entered, adopted }: Committed, settled: number, taken: Map<string, TokenBucket>): void {
    for (const [deviceId, bucket] of taken) this.#buckets.set(deviceId, bucket);
    this.#pending += adopted.length - settled;
    this.#lastSequence = adopted.at(-1)?.sequence ?? this.#lastSequence;
    for (const one of entered) {
      if ("kind" in one) continue;
      this.#pending++;
      this.#lastSequence = one.sequence;
    }
  }
}

function seconds(ms: number): number {
  return Math.floor(ms / 1000);
}

function rejectedOf(
  entered: readonly Entered[],
  identityOf: (place: number) => string,
): RejectedMessage[] {
  const rejected: RejectedMessage[] = [];
  entered.forEach((one, place) => {
    if (!("kind" in one) || one.kind !== "rejected") return;
    rejected.push({ identity: identityOf(place), code: one.code });
  });
  return rejected;
}
