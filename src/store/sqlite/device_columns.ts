/** The columns of a device as SQL that stands whatever type is in them. */

import { REASON_READ_CHARS, SECRET_MAX_CHARS, TIME_MAX_SECONDS } from "../stored_device.ts";

/** A time or count as SQL that gives a safe number, NULL, or a text for anything else. */
export function numberColumn(column: string): string {
  return `CASE WHEN ${column} IS NULL THEN NULL
    WHEN typeof(${column}) IN ('integer', 'real') AND ${column} BETWEEN 0 AND ${TIME_MAX_SECONDS}
    THEN CAST(${column} AS INTEGER) ELSE 'damaged' END`;
}

/** A time of a table that has numbers only as SQL: one that is beyond any date is cut to the last. */
export function boundedColumn(column: string): string {
  return `min(max(${column}, 0), ${TIME_MAX_SECONDS})`;
}

/** A text as SQL that stays short whatever is in it; NULL for what is not a text. */
export function textColumn(column: string, maxChars: number): string {
  return `CASE typeof(${column}) WHEN 'text' THEN substr(${column}, 1, ${maxChars + 1}) END`;
}

/** The columns of `DeviceRow`. */
export const SELECT_DEVICES = `
  SELECT coalesce(${textColumn("d.device_id", 200)}, hex(substr(d.device_id, 1, 32)), ''),
         ${textColumn("d.shared_secret", SECRET_MAX_CHARS)}, ${numberColumn("d.created_at")},
         ${numberColumn("r.revoked_at")}, substr(r.reason, 1, ${REASON_READ_CHARS}),
         ${numberColumn("s.generation")},
         substr(s.previous_secret, 1, ${SECRET_MAX_CHARS + 1}), ${
  numberColumn("s.previous_generation")
},
         ${numberColumn("s.previous_until")},
         (SELECT ${numberColumn("max(c.not_after)")} FROM device_certificates c
           WHERE c.device_id = d.device_id AND c.withdrawn_at IS NULL) AS not_after,
         length(CAST(d.shared_secret AS BLOB))
  FROM devices d LEFT JOIN device_revocations r ON r.device_id = d.device_id
       LEFT JOIN device_secrets s ON s.device_id = d.device_id`;
