/**
 * The audit: reading it and proving it.
 *
 * Every program only leaves notes, in the transaction that makes the change; `chain_notes` chains
 * them, before the audit is read, and by each gateway twice a second.
 */

import type { AuditNote } from "../../core/audit_note.ts";
import {
  AUDIT_GENESIS,
  type AuditEntry,
  type AuditHead,
  type AuditProof,
  type AuditStore,
  type LastRejection,
  REJECTION_COUNTS_MAX,
  type RejectionCount,
  REJECTIONS_LOOK_BACK_MAX,
} from "../audit.ts";
import { ChainProof, TRIMMED } from "../chain_proof.ts";
import { auditEntryOf, rejectionCountOf } from "../stored_audit.ts";
import type { Connection, Query } from "./connection.ts";
import { readMark } from "./marks.ts";
import { inPages, PAGE_MAX } from "./pages.ts";

/** Most entries among which a device's last rejection is looked for. */
const LOOK_BACK_MAX = 1_000_000;

/** The audit. */
export class PostgresAudit implements AuditStore {
  readonly #connection: Connection;
  readonly #query: Query;

  constructor(connection: Connection) {
    this.#connection = connection;
    this.#query = (text, values) => connection.query(text, values);
  }

  async head(): Promise<AuditHead> {
    await this.chainPending();
    const [row] = await this.#query(
      "SELECT sequence, hash FROM audit ORDER BY sequence DESC LIMIT 1",
    );
    if (row === undefined) return { sequence: 0, hash: AUDIT_GENESIS };
    return { sequence: row["sequence"] as number, hash: row["hash"] as Uint8Array };
  }

  async enter({ at, event, subject, detail, count }: AuditNote): Promise<void> {
    await this.#query(
      `INSERT INTO audit_notes (at, author, event, subject, detail, count)
       VALUES ($1, audit_author(), $2, $3, $4, $5)`,
      [at, event, subject, detail, count],
    );
  }

  async chainPending(): Promise<void> {
    const chain = async () =>
      (await this.#query("SELECT chain_notes() AS more"))[0]!["more"] === true;
    while (await chain());
  }

  async *since(at: number): AsyncIterable<AuditEntry> {
    const { sequence: last } = await this.head();
    const rows = inPages((after) =>
      this.#query(
        `SELECT * FROM audit WHERE at >= $1 AND sequence > $2 AND sequence <= $3
         ORDER BY sequence LIMIT ${PAGE_MAX}`,
        [at, after?.["sequence"] ?? 0, last],
      )
    );
    for await (const row of rows) yield auditEntryOf(row);
  }

  async lastRejection(deviceId: string): Promise<LastRejection | undefined> {
    const { sequence } = await this.head();
    const [row] = await this.#query(
      `SELECT at, code FROM (
         SELECT since AS at, code FROM audit_rejections WHERE identity = $1 AND count > 0
         UNION ALL (
           SELECT at, detail AS code FROM audit
           WHERE sequence > $2 AND event = 'message_rejected' AND subject = $1
           ORDER BY sequence DESC LIMIT 1
         )
       ) AS rejections ORDER BY at DESC LIMIT 1`,
      [deviceId, sequence - LOOK_BACK_MAX],
    );
    return row && { at: row["at"] as number, code: row["code"] as string };
  }

  async rejections(since: number): Promise<RejectionCount[]> {
    const { sequence } = await this.head();
    const rows = await this.#query(
      `SELECT identity, code, sum(count)::bigint AS count, min(at) AS first, max(at) AS last FROM (
        SELECT subject AS identity, detail AS code, count, at FROM audit
        WHERE sequence > $1 AND event = 'message_rejected' AND at >= $2
        UNION ALL SELECT identity, code, count, since AS at FROM audit_rejections
        WHERE count > 0 AND since >= $2
      ) AS rejections GROUP BY identity, code
      ORDER BY 3 DESC, identity, code LIMIT ${REJECTION_COUNTS_MAX}`,
      [sequence - REJECTIONS_LOOK_BACK_MAX, since],
    );
    return rows.map(rejectionCountOf);
  }

  async prove(pinned?: Uint8Array): Promise<AuditProof> {
    await this.chainPending();
    return await this.#connection.transaction(async (query) => {
      await query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"); // one view of it
      const [trimmed] = await query(
        "SELECT detail FROM audit WHERE event = $1 ORDER BY sequence DESC LIMIT 1",
        [TRIMMED],
      );
      const proof = new ChainProof({
        first: await readMark(query, "audit_first"),
        trimmed: trimmed?.["detail"] as string | undefined,
        pinned,
      });
      const rows = inPages((after) =>
        query(`SELECT * FROM audit WHERE sequence > $1 ORDER BY sequence LIMIT ${PAGE_MAX}`, [
          after?.["sequence"] ?? -1,
        ])
      );
      for await (const row of rows) proof.take(auditEntryOf(row));
      return proof.end(await readMark(query, "audit_last"));
    });
  }
}
