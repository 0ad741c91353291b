/**
 * The tables of gateway.db, as numbered migrations.
 *
 * The rules are:
 * - a migration that has been released is never changed; a new one is appended;
 * - `PRAGMA user_version` says how many of them a file has had;
 * - `devices` is the table that registries brought along already have, and stays as it is.
 */

/** Marks a SQLite file as this program's (`PRAGMA application_id`): "SIoT". */
export const APPLICATION_ID = 0x53496f54;

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

  -- What is known of a device's secrets besides the newest, which stands in devices.
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

  CREATE TABLE replay_guard (
    device_id TEXT NOT NULL,
    message_id BLOB NOT NULL,               -- 16 bytes
    timestamp INTEGER NOT NULL,             -- the message's, Unix seconds
    PRIMARY KEY (device_id, message_id)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX replay_guard_by_timestamp ON replay_guard (timestamp);

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
    status INTEGER,                         -- the backend's last answer; NULL where none came
    reason TEXT NOT NULL
  ) STRICT;

  CREATE INDEX dead_letters_by_death ON dead_letters (died_ms);

  CREATE TABLE marks (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  INSERT INTO marks VALUES
    ('registry_revision', 0),               -- counts changes of the registry
    ('forgotten_seconds', 0),               -- newest timestamp whose id was forgotten
    ('attended_seconds', 0),                -- when the gateway was last taking messages; 0: never
    ('broker_dropped', 0),                  -- the broker's drop counter, as last seen
    ('revocation_list_number', 1);          -- the number of the newest list; init makes list 1
  ${revisionTriggers(["devices", "device_certificates", "device_revocations", "device_secrets"])}
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
