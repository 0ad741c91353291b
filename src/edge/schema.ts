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
    ('registry_revision', 0),               -- counts changes of the registry and the API keys
    ('sealing_key', 0),                     -- id of the key that seals secrets; 0: they are plain
    ('api_keys_begun', 0),                  -- 1 once there was an API key in the store
    ('forgotten_seconds', 0),               -- newest timestamp whose id was forgotten
    ('attended_seconds', 0),                -- when the gateway was last taking messages; 0: never
    ('broker_dropped', 0),                  -- the broker's drop counter, as last seen
    ('revocation_list_number', 1);          -- the number of the newest list; init makes list 1
  ${
    revisionTriggers([
      ...["devices", "device_certificates", "device_revocations"],
      ...["api_keys", "api_key_devices"],
    ])
  }
  ${sealedOnlyTriggers(["devices"])}
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
function sealedOnlyTriggers(tables: readonly string[]): string {
  const key = "(SELECT value FROM marks WHERE name = 'sealing_key')";
  const triggers = tables.flatMap((table) =>
    ["INSERT", "UPDATE OF shared_secret"].map((verb, i) => `
  CREATE TRIGGER ${table}_${i === 0 ? "insert" : "update"}_sealed BEFORE ${verb} ON ${table}
  WHEN ${key} <> 0 AND substr(NEW.shared_secret, 1, 23) <> printf('$sealed$1$%012x$', ${key}) BEGIN
    SELECT RAISE(ABORT, 'the secrets of this site are sealed');
  END;`)
  );
  return triggers.join("");
}
