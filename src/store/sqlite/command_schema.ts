/** The tables of commands, and what tells the backend of their states. */

/** A migration of `schema.ts`, which is never changed once it is released. */
export const COMMANDS_MIGRATION = `
  CREATE TABLE commands (
    number INTEGER PRIMARY KEY AUTOINCREMENT, -- in the order of acceptance
    device_id TEXT NOT NULL,
    message_id TEXT NOT NULL UNIQUE,
    key_name TEXT NOT NULL,                 -- of the API key
    state TEXT NOT NULL,
    delivery TEXT,                          -- NULL: the broker has not said anything
    created INTEGER NOT NULL,               -- Unix seconds
    expires INTEGER NOT NULL,               -- Unix seconds
    is_kept INTEGER NOT NULL,               -- 0: sent once, at once or not at all
    sends INTEGER NOT NULL,
    copies INTEGER NOT NULL,                -- that may be with the device
    last_sent INTEGER,                      -- Unix seconds
    withdrawn INTEGER NOT NULL,
    is_told INTEGER NOT NULL,               -- 1: the backend was told that it is sent
    ack_state TEXT,
    ack_received INTEGER,                   -- Unix seconds
    ack_timestamp TEXT,                     -- as in the message
    ack_payload BLOB,                       -- the bytes under the signature
    payload BLOB                            -- NULL once the command is final
  ) STRICT;
  CREATE INDEX commands_by_device ON commands (device_id, number);
  CREATE INDEX commands_waiting ON commands (device_id) WHERE state = 'waiting' AND is_kept = 1;
  CREATE INDEX commands_sendable ON commands (device_id, last_sent)
    WHERE payload IS NOT NULL AND is_kept = 1;
  CREATE INDEX commands_unfinished ON commands (expires) WHERE payload IS NOT NULL;
  CREATE INDEX commands_finished ON commands (expires) WHERE payload IS NULL;

  CREATE TABLE command_requests (
    key_name TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    digest BLOB NOT NULL,                   -- SHA-256 over device, body and TTL
    device_id TEXT NOT NULL,
    message_id TEXT NOT NULL,
    created INTEGER NOT NULL,               -- Unix seconds
    answered INTEGER NOT NULL,              -- 1: with what follows
    timestamp INTEGER,                      -- Unix seconds
    delivery TEXT,
    PRIMARY KEY (key_name, idempotency_key)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX command_requests_by_age ON command_requests (created);
  CREATE INDEX command_requests_by_message ON command_requests (message_id);

  CREATE TABLE command_acknowledgers (      -- devices that have ever acknowledged a command
    device_id TEXT PRIMARY KEY
  ) STRICT, WITHOUT ROWID;

  ALTER TABLE outbox ADD COLUMN command_state TEXT;       -- NULL: it is a reading
  ALTER TABLE dead_letters ADD COLUMN command_state TEXT; -- as above
  CREATE INDEX outbox_callbacks ON outbox (command_state) WHERE command_state IS NOT NULL;

  -- A device that is added again under the same id is another one.
  CREATE TRIGGER devices_delete_commands AFTER DELETE ON devices BEGIN
    UPDATE commands SET payload = NULL, state = CASE state
      WHEN 'waiting' THEN 'cancelled' ELSE 'unconfirmed' END
    WHERE device_id = OLD.device_id AND payload IS NOT NULL;
    DELETE FROM command_acknowledgers WHERE device_id = OLD.device_id;
  END;
`;

/** As above: a wall clock that steps lengthens no command's time. */
export const COMMAND_CLOCK_MIGRATION = `
  ALTER TABLE commands ADD COLUMN expires_asked INTEGER;  -- \`expires\` when it was accepted
  ALTER TABLE commands ADD COLUMN accepted_steady INTEGER; -- Unix seconds of a clock that never steps
  CREATE INDEX commands_by_steady ON commands (accepted_steady) WHERE payload IS NOT NULL;
`;
