/** What one batch writes, collected before it is sent, so that it can be sent at once. */

import { Buffer } from "node:buffer";
import type { AuditNote } from "../../core/audit_note.ts";
import type { CommandName } from "../../core/command_store.ts";
import type { Settlement } from "../../core/delivery.ts";
import type { OutboxEntry } from "../../core/outbox_entry.ts";
import type { SavedPeriod } from "../rejection_periods.ts";

/** What goes into the outbox; a reading has the time in its signature, a callback has none. */
interface NewEntry extends Omit<OutboxEntry, "sequence"> {
  readonly timestampSeconds: number | undefined;
}

/** A command's id that is about to be published. */
interface Copy extends CommandName {
  readonly timestampSeconds: number;
}

/** The writes. */
export class BatchWrites {
  /** In the order of their numbers. */
  readonly entries: NewEntry[] = [];
  readonly copies: Copy[] = [];
  readonly settlements: readonly Settlement[];
  readonly notes: AuditNote[];
  readonly periods: SavedPeriod[] = [];
  readonly ended: Pick<SavedPeriod, "identity" | "code">[] = [];
  readonly marks = new Map<string, number>();

  /** Devices of which something verified. */
  readonly heard = new Set<string>();
  readonly #held: readonly string[];

  constructor(
    { settlements, notes, held }: {
      readonly settlements: readonly Settlement[];
      readonly notes: readonly AuditNote[];
      readonly held: readonly string[];
    },
  ) {
    this.settlements = settlements;
    this.notes = [...notes];
    this.#held = held;
  }

  /** The ids' slots, for which there may be no partition yet: timestamps in Unix seconds. */
  timestamps(): number[] {
    const ofEntries = this.entries.flatMap(({ timestampSeconds }) => timestampSeconds ?? []);
    return [...ofEntries, ...this.copies.map(({ timestampSeconds }) => timestampSeconds)];
  }

  /** The last parameters of `intake`, in their order. */
  parameters(): unknown[] {
    const { entries, copies } = this;
    return [
      entries.map(({ deviceId }) => deviceId),
      entries.map(({ messageId }) => messageId),
      entries.map(({ timestamp }) => timestamp),
      entries.map(({ timestampSeconds }) => timestampSeconds ?? null),
      entries.map(({ commandState }) => commandState ?? null),
      entries.map(({ payload }) => payload.length),
      Buffer.concat(entries.map(({ payload }) => payload)),
      copies.map(({ deviceId }) => deviceId),
      copies.map(({ messageId }) => messageId),
      copies.map(({ timestampSeconds }) => timestampSeconds),
      this.settlements.map(({ sequence }) => sequence),
      JSON.stringify(this.#more(), storable),
    ];
  }

  #more() {
    return {
      deaths: this.settlements.flatMap(deathOf),
      notes: this.notes.map((
        { at, event, subject, detail, count },
      ) => [at, event, subject, detail, count]),
      periods: this.periods.map((
        { identity, code, since, seconds, count },
      ) => [identity, code, since, seconds, count]),
      ended: this.ended.map(({ identity, code }) => [identity, code]),
      marks: Object.fromEntries(this.marks),
      held: this.#held,
      heard: [...this.heard],
    };
  }
}

function deathOf({ sequence, deadLetter }: Settlement) {
  if (deadLetter === undefined) return [];
  const { status, reason, deadLetteredAtMs, answer } = deadLetter;
  return [{
    ...{ sequence, status: status ?? null, reason, died_ms: deadLetteredAtMs },
    content_type: answer?.contentType ?? null,
    location: answer?.location ?? null,
    body: answer?.body ? answer.body.toBase64() : null,
  }];
}

/** A text without what PostgreSQL has in none. */
function storable(_name: string, value: unknown): unknown {
  return typeof value === "string" ? value.replaceAll("\0", "\ufffd").toWellFormed() : value;
}
