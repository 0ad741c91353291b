/**
 * The SQLite file: opening it, and transactions on it.
 *
 * The rules are:
 * - a file that is corrupt, foreign or from a newer program is refused and left as it is;
 * - an older one is brought to the newest schema in one transaction, after a checked copy of it was
 *   put beside it; without the copy there is no migration;
 * - WAL, so that readers and the writer do not wait for each other; synchronous=FULL unless told
 *   otherwise, so that a commit that returned is on the disk;
 * - a failed transaction leaves nothing behind;
 * - SQLite goes on writing to a file that was deleted, replaced or cut short under it: so the file
 *   is looked at before every transaction, and a store that is lost stays lost. Only a new one,
 *   opened on a valid file, goes on.
 */

import { DatabaseSync, type StatementSync } from "node:sqlite";
import type { AuditAuthor } from "../audit.ts";
import { AuditChain } from "./audit_chain.ts";
import { backUp } from "./backup.ts";
import { APPLICATION_ID, MIGRATIONS } from "./schema.ts";
import { StoreError, StoreLostError } from "../store_error.ts";

/** How a store is opened. */
interface DatabaseOptions {
  /** FULL if it is not given. */
  readonly synchronous?: "FULL" | "NORMAL";
  /** How long to wait for another process's write, milliseconds; 5,000 if it is not given. */
  readonly busyTimeoutMs?: number;
  /**
   * Whether what is deleted is overwritten even if that costs a write: ON if it is not given, as
   * a program that changes secrets needs it.
   */
  readonly secureDelete?: "ON" | "FAST";
  /** Who makes the changes, for the audit; `command` if it is not given. */
  readonly author?: AuditAuthor;
  /** Make the file if there is none; otherwise a missing file is an error. */
  readonly create?: boolean;
}

/** SQLite's result codes for a damaged file: SQLITE_CORRUPT, SQLITE_NOTADB. */
const DAMAGED = [11, 26];

/** An open gateway.db. */
export class Database {
  readonly path: string;
  /** What every transaction adds to the audit. */
  readonly audit: AuditChain;
  readonly #author: AuditAuthor;
  #file: Pick<Deno.FileInfo, "ino" | "dev" | "size"> | undefined;
  readonly #database: DatabaseSync;
  readonly #begin: StatementSync;
  readonly #commit: StatementSync;
  readonly #rollback: StatementSync;
  readonly #dataVersion: StatementSync;
  readonly #readMark: StatementSync;
  readonly #writeMark: StatementSync;

  /** Opens and migrates the file at `path`, or throws a `StoreError`. */
  constructor(path: string, options: DatabaseOptions = {}) {
    this.path = path;
    if (!options.create && !exists(path)) {
      throw new StoreError(`Cannot open "${path}": no such file`);
    }
    let database: DatabaseSync | undefined;
    try {
      database = openMigrated(path, { timeout: options.busyTimeoutMs ?? 5_000 });
      database.exec(`
        PRAGMA journal_mode = WAL;
        PRAGMA synchronous = ${options.synchronous ?? "FULL"};
        PRAGMA journal_size_limit = 67108864;
        PRAGMA secure_delete = ${options.secureDelete ?? "ON"};
      `);
    } catch (error) {
      database?.close();
      if (error instanceof StoreError) throw error;
      throw new StoreError(`Cannot open "${path}": ${(error as Error).message}`, { cause: error });
    }
    this.audit = new AuditChain(database);
    this.#author = options.author ?? "command";
    this.#database = database;
    this.#file = path === ":memory:" ? undefined : fileAt(path);
    this.#begin = database.prepare("BEGIN IMMEDIATE");
    this.#commit = database.prepare("COMMIT");
    this.#rollback = database.prepare("ROLLBACK");
    this.#dataVersion = database.prepare("PRAGMA data_version");
    this.#readMark = database.prepare("SELECT value FROM marks WHERE name = ?");
    this.#writeMark = database.prepare("INSERT OR REPLACE INTO marks VALUES (?, ?)");
  }

  /** Compiles a statement; done once for each, at start. */
  prepare(sql: string): StatementSync {
    return this.#database.prepare(sql);
  }

  /** The same for one whose rows are arrays, which take half the time of objects. */
  prepareArrays(sql: string): StatementSync {
    const statement = this.prepare(sql);
    // Its type is not in every declaration of node:sqlite that Deno may find.
    (statement as unknown as { setReturnArrays(on: boolean): void }).setReturnArrays(true);
    return statement;
  }

  /** Runs `work` in one transaction: all of it is on the disk when this returns, or nothing. */
  transaction<T>(work: () => T): T {
    this.#checkInPlace();
    try {
      this.#begin.run();
      this.audit.chain("another program");
      const result = work();
      this.audit.chain(this.#author);
      this.#commit.run();
      return result;
    } catch (error) {
      // A full disk may have ended the transaction already; then there is nothing to roll back.
      if (this.#database.isTransaction) this.#rollback.run();
      throw this.#nameDamage(error as Error);
    }
  }

  /** True if a new store could be opened on the file as it is now, and is whole. */
  static isSound(path: string): boolean {
    if (!exists(path)) return false;
    try {
      const database = new DatabaseSync(path, { readOnly: true, timeout: 0 });
      try {
        database.prepare("SELECT count(*) FROM devices").get();
        return database.prepare("PRAGMA quick_check(1)").get()!["quick_check"] === "ok";
      } finally {
        database.close();
      }
    } catch {
      return false;
    }
  }

  /** A number that changes when another connection has committed (`PRAGMA data_version`). */
  dataVersion(): number {
    return this.#dataVersion.get()!["data_version"] as number;
  }

  /** Reads a mark; 0 if it was never set. */
  readMark(name: string): number {
    const row = this.#readMark.get(name);
    return row === undefined ? 0 : row["value"] as number;
  }

  /** Sets a mark; belongs inside a transaction. */
  writeMark(name: string, value: number): void {
    this.#writeMark.run(name, value);
  }

  close(): void {
    this.#database.close();
  }

  #checkInPlace(): void {
    if (this.#file === undefined) return;
    const now = fileAt(this.path);
    if (now === undefined) throw new StoreLostError(`"${this.path}" is gone`);
    if (now.ino !== this.#file.ino || now.dev !== this.#file.dev) {
      throw new StoreLostError(`"${this.path}" was replaced`);
    }
    if (now.size < this.#file.size) throw new StoreLostError(`"${this.path}" was cut short`);
    this.#file = now; // it never shrinks by itself: nothing here vacuums
  }

  #nameDamage(error: Error): Error {
    const { errcode } = error as { errcode?: number };
    if (errcode === undefined || !DAMAGED.includes(errcode & 0xff)) return error;
    return new StoreLostError(`"${this.path}" is damaged: ${error.message}`);
  }
}

function fileAt(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.statSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

function exists(path: string): boolean {
  try {
    return fileAt(path)?.isFile ?? false;
  } catch (error) {
    throw new StoreError(`Cannot open "${path}": ${(error as Error).message}`, { cause: error });
  }
}

/** Opens the file, brought to the newest schema. */
function openMigrated(path: string, options: { readonly timeout: number }): DatabaseSync {
  let database = new DatabaseSync(path, options);
  const copied: Disposable[] = [];
  try {
    if (versionOf(database, path) < MIGRATIONS.length) migrate(database, path, copied);
    if (copied.length > 0) {
      database.close(); // before what was copied from it
      database = new DatabaseSync(path, options);
    }
    database.prepare("SELECT device_id, shared_secret, created_at FROM devices LIMIT 1").get();
    return database;
  } catch (error) {
    database.close();
    throw error;
  } finally {
    for (const file of copied) file[Symbol.dispose]();
  }
}

/** The file's schema, 0 for none; throws a `StoreError` if it is not one of ours. */
function versionOf(database: DatabaseSync, path: string): number {
  const version = pragma(database, "user_version");
  const application = pragma(database, "application_id");
  if (application !== 0 && application !== APPLICATION_ID) {
    throw new StoreError(`Cannot open "${path}": the database of another program`);
  }
  if (version <= MIGRATIONS.length) return version;
  throw new StoreError(
    `Cannot open "${path}": written by a newer version (schema ${version}, this program knows ${MIGRATIONS.length})`,
  );
}

/** Backs up what is there, and brings it to the newest schema, all steps in one transaction. */
function migrate(database: DatabaseSync, path: string, copied: Disposable[]): void {
  database.exec("BEGIN IMMEDIATE");
  const version = versionOf(database, path); // now that no other process can change it
  const { tables } = database.prepare("SELECT count(*) AS tables FROM sqlite_schema").get()!;
  if (tables !== 0 && version < MIGRATIONS.length) copy(path, version, copied);
  for (const migration of MIGRATIONS.slice(version)) database.exec(migration);
  database.exec(`
    PRAGMA application_id = ${APPLICATION_ID};
    PRAGMA user_version = ${MIGRATIONS.length};
    COMMIT;
  `);
}

function copy(path: string, version: number, copied: Disposable[]): void {
  try {
    backUp(path, version, copied);
  } catch (error) {
    throw new StoreError(
      `Cannot open "${path}": no copy of it could be made before the schema changes: ${
        (error as Error).message
      }`,
    );
  }
}

function pragma(database: DatabaseSync, name: string): number {
  return database.prepare(`PRAGMA ${name}`).get()![name] as number;
}
