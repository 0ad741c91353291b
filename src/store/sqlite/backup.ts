/**
 * A copy of gateway.db as it is before its schema changes.
 *
 * The rules are:
 * - the caller holds the write lock, so that neither the file nor its WAL changes under the copy;
 * - the copy is one whole file, checked, closed to others, and has its name only when it is finished;
 * - closing any descriptor of a file ends all locks that this process has on it, SQLite's too: so
 *   what was opened here is closed by the caller, after the database.
 */

import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { giveToOwner } from "../../config/owned_file.ts";

const CHUNK_BYTES = 1 << 20;

/** The path of the copy of a database with schema `version`. */
function backupPath(path: string, version: number): string {
  return `${path}.v${version}.backup`;
}

/**
 * Copies the database at `path`; throws if the copy is not whole, and leaves none then. What it
 * opens is added to `opened`.
 */
export function backUp(path: string, version: number, opened: Disposable[]): void {
  const unfinished = `${backupPath(path, version)}.unfinished`;
  try {
    removeIfThere(unfinished, `${unfinished}-wal`);
    for (const part of ["", "-wal"]) copyIfThere(`${path}${part}`, `${unfinished}${part}`, opened);
    makeWhole(unfinished, version);
    Deno.renameSync(unfinished, backupPath(path, version));
  } catch (error) {
    removeIfThere(unfinished, `${unfinished}-wal`, `${unfinished}-shm`);
    throw error;
  }
}

/** Removes every copy beside the database at `path`; returns their paths. */
export function removeBackups(path: string): string[] {
  const folder = dirname(path);
  const paths = [...Deno.readDirSync(folder)].map(({ name }) => join(folder, name))
    .filter((other) => other.startsWith(path) && /^\.v\d+\.backup$/.test(other.slice(path.length)));
  for (const backup of paths) Deno.removeSync(backup);
  return paths;
}

function copyIfThere(from: string, to: string, opened: Disposable[]): void {
  if (!isThere(from)) return;
  const source = Deno.openSync(from);
  opened.push(source);
  using target = Deno.openSync(to, { write: true, createNew: true, mode: 0o600 });
  giveToOwner(to);
  const buffer = new Uint8Array(CHUNK_BYTES);
  for (let read; (read = source.readSync(buffer)) !== null;) {
    for (let at = 0; at < read;) at += target.writeSync(buffer.subarray(at, read));
  }
  target.syncDataSync();
}

/** Takes the WAL into the file, and reads every page of it. */
function makeWhole(path: string, version: number): void {
  const database = new DatabaseSync(path);
  try {
    database.exec("PRAGMA journal_mode = DELETE");
    const { integrity_check } = database.prepare("PRAGMA integrity_check(1)").get()!;
    const { user_version } = database.prepare("PRAGMA user_version").get()!;
    if (integrity_check === "ok" && user_version === version) return;
    throw new Error(`the copy is not whole: ${integrity_check}`);
  } finally {
    database.close();
  }
}

function removeIfThere(...paths: readonly string[]): void {
  for (const path of paths) if (isThere(path)) Deno.removeSync(path);
}

function isThere(path: string): boolean {
  try {
    return Deno.lstatSync(path) !== undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
