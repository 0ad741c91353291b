/**
 * The message ids that devices have used, in the store.
 *
 * The rules are:
 * - ids are kept by time, never by count: as long as their message could still be in range;
 * - the newest timestamp ever forgotten is kept for good (`forgotten_seconds`), and a message that
 *   old or older is never accepted, so a clock that steps back makes nothing fresh again; a clock
 *   that stepped far ahead and came back costs nothing, since only what was really held moves it;
 * - an id is compared as its 16 bytes, so that its case does not matter.
 */

import type { StatementSync } from "node:sqlite";
import type { Store } from "./store.ts";

/** Most ids that one `forget` removes, so that it never holds up intake for long. */
const FORGET_MAX = 1_000;

/** The remembered ids; its methods belong inside a transaction. */
export class ReplayGuard {
  readonly #find: StatementSync;
  readonly #insert: StatementSync;
  readonly #count: StatementSync;
  readonly #newest: StatementSync;
  readonly #newestOfOldest: StatementSync;
  readonly #forget: StatementSync;
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
    this.#find = store.prepare(
      "SELECT 1 FROM replay_guard WHERE device_id = ? AND message_id = ?",
    );
    this.#insert = store.prepare("INSERT INTO replay_guard VALUES (?, ?, ?)");
    this.#count = store.prepare("SELECT count(*) AS n FROM replay_guard");
    this.#newest = store.prepare("SELECT max(timestamp) AS newest FROM replay_guard");
    this.#newestOfOldest = store.prepare(`
      SELECT max(timestamp) AS newest, count(*) AS n FROM (
        SELECT timestamp FROM replay_guard WHERE timestamp < ? ORDER BY timestamp LIMIT ${FORGET_MAX}
      )`);
    this.#forget = store.prepare("DELETE FROM replay_guard WHERE timestamp <= ?");
  }

  /** True where the device has used this id (a UUID's text) before. */
  remembers(deviceId: string, messageId: string): boolean {
    return this.#find.get(deviceId, uuidBytes(messageId)) !== undefined;
  }

  /** Remembers an id with its message's timestamp. */
  remember(deviceId: string, messageId: string, timestampSeconds: number): void {
    this.#insert.run(deviceId, uuidBytes(messageId), timestampSeconds);
  }

  /** Timestamps up to and including this one may belong to forgotten ids; Unix seconds. */
  forgottenSeconds(): number {
    return this.#store.mark("forgotten_seconds");
  }

  /**
   * Forgets ids whose timestamp is before `beforeSeconds`, oldest first and about 1,000 at most;
   * returns how many, 0 when there is no more to do.
   */
  forget(beforeSeconds: number): number {
    const { newest } = this.#newestOfOldest.get(beforeSeconds)!;
    if (newest === null) return 0;
    this.#store.setMark("forgotten_seconds", Math.max(this.forgottenSeconds(), newest as number));
    return Number(this.#forget.run(newest as number).changes);
  }

  /** The newest timestamp that is remembered, Unix seconds; 0 where there is none. */
  newestSeconds(): number {
    return (this.#newest.get()!["newest"] ?? 0) as number;
  }

  /** How many ids are remembered. */
  count(): number {
    return this.#count.get()!["n"] as number;
  }
}

function uuidBytes(messageId: string): Uint8Array {
  return Uint8Array.fromHex(messageId.replaceAll("-", ""));
}
