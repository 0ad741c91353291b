/** A database file as it is: opening it as a store would bring an older schema up. */

import { DatabaseSync, type SQLOutputValue } from "node:sqlite";
import type { StoreInspection } from "../store.ts";
import { APPLICATION_ID, MIGRATIONS } from "./schema.ts";

/** Looks into the file at `path`, and changes nothing; throws if it cannot be read. */
export function inspectDatabase(path: string): StoreInspection {
  const database = new DatabaseSync(path, { readOnly: true, timeout: 5_000 });
  const value = (sql: string): SQLOutputValue | undefined =>
    Object.values(database.prepare(sql).get() ?? {})[0];
  try {
    const check = value("PRAGMA quick_check(1)");
    const schema = Number(value("PRAGMA user_version"));
    const isForeign = value("PRAGMA application_id") !== APPLICATION_ID;
    const newestSchema = MIGRATIONS.length;
    return {
      damage: check === "ok" ? undefined : String(check),
      isForeign,
      schema,
      newestSchema,
    };
  } finally {
    database.close();
  }
}
