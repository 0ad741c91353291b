/**
 * Takes away what SQLite leaves of deleted and overwritten rows.
 *
 * The rules are:
 * - the tables named are filled anew, so that there is no slack of old rows in their pages;
 * - every free page is used once and freed again, and `secure_delete` zeroes it then;
 * - the write-ahead log is copied into the file and cut off.
 *
 * VACUUM would do the first two, but needs an attached database, which the sandbox does not grant.
 */

import { StoreError } from "../store_error.ts";
import type { Database } from "./database.ts";

/** How long to wait until no other process reads the log. */
const CUT_WITHIN_MS = 20_000;
const CUT_RETRY_MS = 20;

/** Bytes of zeros in one row that uses free pages up. */
const FILLER_MAX_BYTES = 1024 * 1024;

/** Leaves nothing in the files of `store` of what was once in `tables`, and is not now. */
export async function secureErase(store: Database, tables: readonly string[]): Promise<void> {
  // The rows go for a moment; what refers to them must not go along.
  store.prepare("PRAGMA foreign_keys = OFF").run();
  try {
    store.transaction(() => {
      for (const table of tables) fillAnew(table, store);
      zeroFreePages(store);
    });
  } finally {
    store.prepare("PRAGMA foreign_keys = ON").run();
  }
  await cutLog(store);
}

function fillAnew(table: string, store: Database): void {
  const triggers = store.prepare(
    "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?",
  ).all(table);
  for (const { name } of triggers) store.prepare(`DROP TRIGGER "${name}"`).run();
  store.prepare(`CREATE TABLE scrub_copy AS SELECT * FROM ${table}`).run();
  store.prepare(`DELETE FROM ${table}`).run();
  store.prepare(`INSERT INTO ${table} SELECT * FROM scrub_copy`).run();
  store.prepare("DROP TABLE scrub_copy").run();
  for (const { sql } of triggers) store.prepare(sql as string).run();
}

function zeroFreePages(store: Database): void {
  const pragma = (name: string) => store.prepare(`PRAGMA ${name}`).get()![name] as number;
  store.prepare("CREATE TABLE scrub_filler (zeros BLOB)").run();
  const fill = store.prepare("INSERT INTO scrub_filler VALUES (zeroblob(?))");
  const pageBytes = pragma("page_size");
  for (let free = pragma("freelist_count"); free > 0; free = pragma("freelist_count")) {
    fill.run(Math.min(FILLER_MAX_BYTES, free * pageBytes));
  }
  store.prepare("DROP TABLE scrub_filler").run();
}

async function cutLog(store: Database): Promise<void> {
  const cut = store.prepare("PRAGMA wal_checkpoint(TRUNCATE)");
  const deadlineMs = performance.now() + CUT_WITHIN_MS;
  while (cut.get()!["busy"] !== 0) {
    if (performance.now() > deadlineMs) {
      throw new StoreError(`Cannot clean "${store.path}" while others use it: try again`);
    }
    await new Promise((resolve) => setTimeout(resolve, CUT_RETRY_MS));
  }
}
