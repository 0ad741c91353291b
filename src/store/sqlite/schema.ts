/**
 * The tables of gateway.db, as numbered migrations.
 *
 * The rules are:
 * - a migration that has been released is never changed; a new one is appended;
 * - `PRAGMA user_version` says how many of them a file has had;
 * - `devices` is the table that registries brought along already have, and stays as it is.
 */

import { AUDITED_CHANGES, type AuditedChange, SECRET_COLUMNS } from "../audited_changes.ts";
import { ROLE_CHECK } from "../role_check.ts";
import { COMMAND_CLOCK_MIGRATION, COMMANDS_MIGRATION } from "./command_schema.ts";

/** Marks a SQLite file as this program's (`PRAGMA application_id`): "SIoT". */
export const APPLICATION_ID = 0x53496f54;

/** The tables of the ids that were remembered before migration 2. */
const FORMER_SLICES = [1, 2, 3, 4] as const;

/** The audit only grows, but for its beginning once a mark says that it is trimmed. */
const APPEND_ONLY = `
  CREATE TRIGGER audit_insert BEFORE INSERT ON audit
  WHEN NEW.sequence <> coalesce((SELECT max(sequence) FROM audit), 0) + 1 BEGIN
    SELECT RAISE(ABORT, 'the audit is append-only');
  END;
  CREATE TRIGGER audit_update BEFORE UPDATE ON audit BEGIN
    SELECT RAISE(ABORT, 'the audit is append-only');
  END;
  CREATE TRIGGER audit_delete BEFORE DELETE ON audit
  WHEN OLD.sequence >= (SELECT value FROM marks WHERE name = 'audit_first') BEGIN
    SELECT RAISE(ABORT, 'the audit is append-only');
  END;`;

/** Migration number n is `MIGRATIONS[n - 1]`. */
export const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE IF NOT EXISTS devices (
    device_id TEXT PRIMARY KEY,
    shared_secret TEXT NOT NULL,
    created_at INTEGER                      -- Unix seconds
  );

  CREATE TABLE device_certificates (
    serial TEXT PRIMARY KEY,                -- lower-case hex
    device_id TEXT NOT NULL,
    not_before INTEGER NOT NULL,            -- Unix seconds
    not_after INTEGER NOT NULL,             -- Unix seconds
    issuer TEXT,                            -- the authority's fingerprint; NULL: not known
    withdrawn_at INTEGER                    -- Unix seconds; NULL while the device may use it
  ) STRICT;
  CREATE INDEX device_certificates_by_device ON device_certificates (device_id);

  CREATE TABLE device_revocations (
    device_id TEXT PRIMARY KEY,
    revoked_at INTEGER NOT NULL,            -- Unix seconds
    reason TEXT NOT NULL
  ) STRICT;

  CREATE TABLE api_keys (
    name TEXT PRIMARY KEY COLLATE NOCASE,
    digest BLOB NOT NULL UNIQUE,            -- SHA-256 of the key
    created_at INTEGER NOT NULL,            -- Unix seconds
    every_device INTEGER NOT NULL           -- 1: also those that api_key_devices does not name
  ) STRICT;

  CREATE TABLE api_key_devices (
    name TEXT NOT NULL REFERENCES api_keys (name) ON DELETE CASCADE,
    device_id TEXT NOT NULL,
    PRIMARY KEY (name, device_id)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE audit (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,                    -- Unix seconds
    author TEXT NOT NULL,
    event TEXT NOT NULL,
    subject TEXT NOT NULL,                  -- a device id, or the name of an API key
    detail TEXT NOT NULL,
    count INTEGER NOT NULL,
    hash BLOB NOT NULL                      -- SHA-256 over the hash before it and this entry
  ) STRICT;

  CREATE TABLE audit_notes (                -- not chained yet
    number INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    event TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL,
    count INTEGER NOT NULL
  ) STRICT;

  CREATE TABLE audit_rejections (           -- counted, and not entered yet
    identity TEXT NOT NULL,
    code TEXT NOT NULL,
    since INTEGER NOT NULL,                 -- Unix seconds
    seconds INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (identity, code)
  ) STRICT, WITHOUT ROWID;

  -- What is known of a device's secrets besides the newest, which is in devices.
  CREATE TABLE device_secrets (
    device_id TEXT PRIMARY KEY,
    generation INTEGER NOT NULL,            -- of the newest; 1 where there is no row
    previous_secret TEXT NOT NULL,
    previous_generation INTEGER NOT NULL,
    previous_until INTEGER NOT NULL         -- Unix seconds
  ) STRICT;

  -- Written behind the messages, at most once a minute for each secret.
  CREATE TABLE device_secret_uses (
    device_id TEXT NOT NULL,
    generation INTEGER NOT NULL,
    last_used INTEGER NOT NULL,             -- Unix seconds
    PRIMARY KEY (device_id, generation)
  ) STRICT, WITHOUT ROWID;

  ${
    FORMER_SLICES.map((number) => `
  CREATE TABLE replay_guard_${number} (
    device_id TEXT NOT NULL,
    message_id BLOB NOT NULL,               -- 16 bytes
    PRIMARY KEY (device_id, message_id)
  ) STRICT, WITHOUT ROWID;`).join("")
  }
  CREATE TABLE replay_slices (
    number INTEGER PRIMARY KEY,
    turn INTEGER NOT NULL,                  -- counts the openings; 0: free, or on its way there
    opened_seconds INTEGER NOT NULL,        -- wall clock, Unix seconds
    newest_seconds INTEGER NOT NULL,        -- of the messages' timestamps, Unix seconds
    ids INTEGER NOT NULL
  ) STRICT;
  INSERT INTO replay_slices VALUES ${
    FORMER_SLICES.map((number) => `(${number}, ${number === 1 ? 1 : 0}, 0, 0, 0)`)
  };

  CREATE TABLE outbox (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    device_id TEXT NOT NULL,
    message_id TEXT NOT NULL,               -- as it stood in the message
    timestamp TEXT NOT NULL,                -- as it stood in the message
    accepted_ms INTEGER NOT NULL,           -- wall clock, Unix milliseconds
    payload BLOB NOT NULL                   -- the bytes under the signature
  ) STRICT;

  CREATE TABLE dead_letters (
    sequence INTEGER PRIMARY KEY,           -- the outbox entry's
    device_id TEXT NOT NULL,
    message_id TEXT NOT NULL,
    timestamp TEXT NOT NULL,
    accepted_ms INTEGER NOT NULL,
    payload BLOB NOT NULL,
    died_ms INTEGER NOT NULL,               -- wall clock, Unix milliseconds
    status INTEGER,                         -- the backend's last answer; NULL if none came
    reason TEXT NOT NULL
  ) STRICT;

  CREATE INDEX dead_letters_by_death ON dead_letters (died_ms);

  CREATE TABLE marks (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  INSERT INTO marks VALUES
    ('registry_revision', 0),               -- counts changes of the registry and the API keys
    ('sealing_key', 0),                     -- id of the key that seals secrets; 0: they are plain
    ('audit_first', 1),                     -- the first entry that was not trimmed
    ('api_keys_begun', 0),                  -- 1 once there was an API key in the store
    ('forgotten_seconds', 0),               -- newest timestamp whose id was forgotten
    ('attended_seconds', 0),                -- when the gateway was last taking messages; 0: never
    ('broker_dropped', 0),                  -- the broker's drop counter, as last seen
    ('revocation_list_number', 1);          -- the number of the newest list; init makes list 1
  ${
    revisionTriggers([
      ...["devices", "device_certificates", "device_revocations", "device_secrets"],
      ...["api_keys", "api_key_devices"],
    ])
  }
  ${SECRET_COLUMNS.map(sealedOnlyTriggers).join("")}
  ${AUDITED_CHANGES.map(auditTrigger).join("")}
  ${APPEND_ONLY}
  `,
  // Remembered ids: as many slices as there need be, in one table.
  `
  ALTER TABLE replay_slices RENAME TO former_slices;
  CREATE TABLE replay_guard (
    slice INTEGER NOT NULL,
    device_id TEXT NOT NULL,
    message_id BLOB NOT NULL,               -- 16 bytes
    PRIMARY KEY (slice, device_id, message_id)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE replay_slices (
    number INTEGER PRIMARY KEY,
    opened_seconds INTEGER NOT NULL,        -- wall clock, Unix seconds
    newest_seconds INTEGER NOT NULL,        -- of the messages' timestamps, Unix seconds
    ids INTEGER NOT NULL,                   -- that it took
    filter BLOB                             -- of all its ids; NULL: it takes new ones
  ) STRICT;
  INSERT INTO replay_slices
    SELECT number, opened_seconds, newest_seconds, ids, NULL FROM former_slices WHERE ids > 0;
  ${
    FORMER_SLICES.map((number) => `
  INSERT INTO replay_guard SELECT ${number}, device_id, message_id FROM replay_guard_${number};
  DROP TABLE replay_guard_${number};`).join("")
  }
  DROP TABLE former_slices;
  `,
  // What the backend answered to a dead letter; and what was dropped beside a running gateway.
  `
  ALTER TABLE dead_letters ADD COLUMN content_type TEXT;
  ALTER TABLE dead_letters ADD COLUMN location TEXT;
  ALTER TABLE dead_letters ADD COLUMN body BLOB;
  CREATE TABLE outbox_removals (            -- emptied by the gateway
    sequence INTEGER PRIMARY KEY,
    lane TEXT NOT NULL                      -- the device's id
  ) STRICT;
  `,
  COMMANDS_MIGRATION,
  // Where a reading is that a device sends again; and ids that are kept longer.
  `
  ALTER TABLE replay_slices ADD COLUMN after_sequence INTEGER; -- its entries have higher numbers
  ALTER TABLE replay_slices ADD COLUMN last_seconds INTEGER;   -- of its last id: wall clock, Unix seconds
  ALTER TABLE outbox ADD COLUMN is_requeued INTEGER;           -- 1: it was a dead letter
  CREATE INDEX outbox_requeued ON outbox (lower(message_id)) WHERE is_requeued = 1;
  CREATE INDEX dead_letters_by_message ON dead_letters (lower(message_id));
  `,
  COMMAND_CLOCK_MIGRATION,
  // What an API key is for; and the dead letters of one device.
  `
  ALTER TABLE api_keys ADD COLUMN role TEXT NOT NULL DEFAULT 'commands' CHECK (${ROLE_CHECK});
  CREATE INDEX dead_letters_by_device ON dead_letters (device_id, died_ms, sequence);
  `,
];

/** Triggers that count up `registry_revision`, so that a running gateway notices any writer. */
function revisionTriggers(tables: readonly string[]): string {
  const triggers = tables.flatMap((table) =>
    ["INSERT", "UPDATE", "DELETE"].map((verb) => `
  CREATE TRIGGER ${table}_${verb.toLowerCase()}_revision AFTER ${verb} ON ${table} BEGIN
    UPDATE marks SET value = value + 1 WHERE name = 'registry_revision';
  END;`)
  );
  return triggers.join("");
}

/** Triggers that keep plain secrets out of a site that is sealed, whichever program writes them. */
function sealedOnlyTriggers({ table, column }: { table: string; column: string }): string {
  const key = "(SELECT value FROM marks WHERE name = 'sealing_key')";
  const triggers = ["INSERT", `UPDATE OF ${column}`].map((verb, i) => `
  CREATE TRIGGER ${table}_${i === 0 ? "insert" : "update"}_sealed BEFORE ${verb} ON ${table}
  WHEN ${key} <> 0 AND substr(NEW.${column}, 1, 23) <> printf('$sealed$1$%012x$', ${key}) BEGIN
    SELECT RAISE(ABORT, 'the secrets of this site are sealed');
  END;`);
  return triggers.join("");
}

/** A trigger that notes a change; in plain SQL, since programs with an older SQLite run it too. */
function auditTrigger({ on, when, event, subject, detail }: AuditedChange, number: number): string {
  return `
  CREATE TRIGGER audit_${number + 1} AFTER ${on} ${when ? `WHEN ${when}` : ""} BEGIN
    INSERT INTO audit_notes (at, event, subject, detail, count)
    VALUES (CAST(strftime('%s', 'now') AS INTEGER), ${event}, ${subject}, ${detail ?? "''"}, 1);
  END;`;
}
