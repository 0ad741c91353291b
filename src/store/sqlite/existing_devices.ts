/** The `devices` table of another program's registry, read as it is. */

import { DatabaseSync } from "node:sqlite";
import { NO_TIME, SECRET_MAX_CHARS, secretDamage } from "../stored_device.ts";
import { numberColumn, textColumn } from "./device_columns.ts";

/** A row of it. */
export interface ExistingDevice {
  readonly deviceId: string;
  readonly secret: string;
  /** Unix seconds; undefined if it has none. */
  readonly createdAt: number | undefined;
  /** What keeps it from being a device; undefined if nothing does. */
  readonly damage: string | undefined;
}

const SELECT = `
  SELECT ${textColumn("device_id", 200)} AS device_id,
         ${textColumn("shared_secret", SECRET_MAX_CHARS)} AS shared_secret,
         ${numberColumn("created_at")} AS created_at,
         length(CAST(shared_secret AS BLOB)) AS secret_bytes
  FROM devices`;

/** The rows of a `devices` table, whatever types are in it; throws if there is no such table. */
export function readDevicesTable(file: string): ExistingDevice[] {
  let database: DatabaseSync | undefined;
  try {
    if (!Deno.statSync(file).isFile) throw new Error("it is not a regular file");
    database = new DatabaseSync(file, { readOnly: true });
    return database.prepare(SELECT).all().map((row) => {
      const deviceId = row["device_id"] as string | null;
      const secret = row["shared_secret"] as string | null;
      const createdAt = row["created_at"] as number | "damaged" | null;
      const damage = secretDamage(secret, row["secret_bytes"] as number | null) ??
        (createdAt === "damaged" ? NO_TIME : undefined);
      return {
        deviceId: deviceId ?? "",
        secret: secret ?? "",
        createdAt: typeof createdAt === "number" ? createdAt : undefined,
        damage: deviceId === null ? "its id is not a text" : damage,
      };
    });
  } finally {
    database?.close();
  }
}
