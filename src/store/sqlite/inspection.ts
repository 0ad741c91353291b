/** A database file as it is: opening it as a store would bring an older schema up. */

import { DatabaseSync, type SQLOutputValue } from "node:sqlite";

/** A look into a database file that changes nothing. */
export class Inspection implements Disposable {
  readonly #database: DatabaseSync;

  /** Throws if the file cannot be opened. */
  constructor(path: string) {
    this.#database = new DatabaseSync(path, { readOnly: true, timeout: 5_000 });
  }

  /** What is damaged, undefined if nothing is; the schema's number, and whose database it is. */
  integrity() {
    const check = this.#value("PRAGMA quick_check(1)");
    return {
      fault: check === "ok" ? undefined : String(check),
      version: this.#value("PRAGMA user_version"),
      application: this.#value("PRAGMA application_id"),
    };
  }

  /** The newest remembered timestamp and the newest mark of attendance, Unix seconds; 0: none. */
  times(): { readonly newest: number; readonly attended: number } {
    return {
      newest: Number(this.#value("SELECT max(newest_seconds) FROM replay_slices")),
      attended: Number(this.#value("SELECT value FROM marks WHERE name = 'attended_seconds'") ?? 0),
    };
  }

  #value(sql: string): SQLOutputValue | undefined {
    return Object.values(this.#database.prepare(sql).get() ?? {})[0];
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }
}
