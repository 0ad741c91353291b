/** The `devices` table of another program's registry, read as it is. */

import { DatabaseSync } from "node:sqlite";

/** A row of it. */
export interface ExistingDevice {
  readonly deviceId: string;
  readonly secret: string;
  /** Unix seconds; undefined if the column has no whole number. */
  readonly createdAt: number | undefined;
}

/** The rows of a `devices` table, whatever types are in it; throws if there is no such table. */
export function readDevicesTable(file: string): ExistingDevice[] {
  let database: DatabaseSync | undefined;
  try {
    if (!Deno.statSync(file).isFile) throw new Error("it is not a regular file");
    database = new DatabaseSync(file, { readOnly: true });
    const rows = database.prepare("SELECT device_id, shared_secret, created_at FROM devices").all();
    return rows.map((row) => ({
      deviceId: String(row["device_id"] ?? ""),
      secret: String(row["shared_secret"] ?? ""),
      createdAt: typeof row["created_at"] === "number" && Number.isInteger(row["created_at"])
        ? row["created_at"]
        : undefined,
    }));
  } finally {
    database?.close();
  }
}
