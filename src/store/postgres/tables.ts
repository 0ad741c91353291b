/**
 * The tables, which have the names and columns of the SQLite ones where they are the same.
 *
 * Texts by which rows are found or ordered compare byte by byte (`COLLATE "C"`), as everywhere else.
 */

import { AUDITED_CHANGES, type AuditedChange, SECRET_COLUMNS } from "../audited_changes.ts";
import { ROLE_CHECK } from "../role_check.ts";
import { SCHEMA_NAME } from "./connection.ts";
import { CREATE_DOMAINS, LEASE_CHECK } from "./domains.ts";

const TABLES = `
  CREATE TABLE devices (
    device_id text COLLATE "C" PRIMARY KEY,
    shared_secret text NOT NULL,
    created_at bigint                       -- Unix seconds
  );

  CREATE TABLE device_certificates (
    number bigint GENERATED ALWAYS AS IDENTITY,
    serial text COLLATE "C" PRIMARY KEY,    -- lower-case hex
    device_id text COLLATE "C" NOT NULL,
    not_before bigint NOT NULL,             -- Unix seconds
    not_after bigint NOT NULL,              -- Unix seconds
    issuer text,                            -- the authority's fingerprint; NULL: not known
    withdrawn_at bigint                     -- Unix seconds; NULL while the device may use it
  );
  CREATE INDEX device_certificates_by_device ON device_certificates (device_id);

  CREATE TABLE device_revocations (
    device_id text COLLATE "C" PRIMARY KEY,
    revoked_at bigint NOT NULL,             -- Unix seconds
    reason text NOT NULL
  );

  CREATE TABLE device_secrets (             -- besides the newest, which is in devices
    device_id text COLLATE "C" PRIMARY KEY,
    generation bigint NOT NULL,             -- of the newest; 1 where there is no row
    previous_secret text NOT NULL,
    previous_generation bigint NOT NULL,
    previous_until bigint NOT NULL          -- Unix seconds
  );

  CREATE TABLE device_secret_uses (
    device_id text COLLATE "C" NOT NULL,
    generation bigint NOT NULL,
    last_used bigint NOT NULL,              -- Unix seconds
    PRIMARY KEY (device_id, generation)
  );

  CREATE TABLE api_keys (
    name text COLLATE "C" PRIMARY KEY,
    digest bytea NOT NULL UNIQUE,           -- SHA-256 of the key
    created_at bigint NOT NULL,             -- Unix seconds
    every_device boolean NOT NULL,          -- also those that api_key_devices does not name
    role text NOT NULL CHECK (${ROLE_CHECK})
  );
  CREATE UNIQUE INDEX api_keys_by_name ON api_keys (lower(name));

  CREATE TABLE api_key_devices (
    name text COLLATE "C" NOT NULL REFERENCES api_keys (name) ON DELETE CASCADE,
    device_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (name, device_id)
  );

  CREATE TABLE audit (
    sequence whole_number PRIMARY KEY,
    at whole_number NOT NULL,               -- Unix seconds
    author text NOT NULL,
    event text NOT NULL,
    subject text NOT NULL,                  -- a device id, or the name of an API key
    detail text NOT NULL,
    count whole_number NOT NULL,
    hash bytea NOT NULL                     -- SHA-256 over the hash before it and this entry
  );

  CREATE TABLE audit_notes (                -- not chained yet
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at whole_number NOT NULL,
    author text NOT NULL,
    event text NOT NULL,
    subject text NOT NULL,
    detail text NOT NULL,
    count whole_number NOT NULL
  );

  CREATE TABLE audit_rejections (           -- counted, and not entered yet
    node text COLLATE "C" NOT NULL,
    identity text COLLATE "C" NOT NULL,
    code text COLLATE "C" NOT NULL,
    since whole_number NOT NULL,            -- Unix seconds
    seconds whole_number NOT NULL,
    count whole_number NOT NULL,
    PRIMARY KEY (node, identity, code)
  );

  CREATE TABLE marks (
    node text COLLATE "C" NOT NULL,         -- '': of all nodes
    name text COLLATE "C" NOT NULL,
    value whole_number NOT NULL,
    PRIMARY KEY (node, name)
  );
  INSERT INTO marks VALUES
    ('', 'registry_revision', 0),           -- counts changes of the registry and the API keys
    ('', 'sealing_key', 0),                 -- id of the key that seals secrets; 0: they are plain
    ('', 'audit_first', 1),                 -- the first entry that was not trimmed
    ('', 'audit_last', 0),                  -- the highest number that was ever given
    ('', 'api_keys_begun', 0),              -- 1 once there was an API key in the store
    ('', 'forgotten_seconds', 0),           -- newest timestamp whose id was forgotten
    ('', 'revocation_list_number', 1);      -- the number of the newest list; init makes list 1

  CREATE TABLE nodes (
    node node_name PRIMARY KEY,
    epoch whole_number NOT NULL,            -- counts the gateways that have worked as this node
    last_batch whole_number NOT NULL,       -- of this epoch
    last_result jsonb,                      -- what that batch has come to
    oldest_seconds whole_number             -- a message may still be taken that is this old
  ) WITH (fillfactor = 50);

  CREATE TABLE leases (                     -- apart: a heartbeat waits for no commit
    node node_name PRIMARY KEY,
    until timestamptz NOT NULL,             -- when the others may take it for dead
    renewed timestamptz NOT NULL,
    wall_ms whole_number NOT NULL,          -- its clock at that moment, Unix milliseconds
    CHECK (${LEASE_CHECK})
  ) WITH (fillfactor = 50);

  CREATE TABLE presence (                   -- where a device was heard last: a hint
    device_id device_name PRIMARY KEY,
    node node_name NOT NULL
  ) WITH (fillfactor = 80);

  CREATE TABLE mail (                       -- what one node asks another to publish
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    node node_name NOT NULL,                -- who is asked
    sender node_name NOT NULL,
    device_id device_name NOT NULL,
    topic text NOT NULL,
    body content NOT NULL,
    properties jsonb NOT NULL,
    is_awaited boolean NOT NULL,            -- false: the sender waits for no word of it
    expires_at timestamptz NOT NULL,
    is_taken boolean NOT NULL DEFAULT false,
    outcome text
  );
  CREATE INDEX mail_by_node ON mail (node, number);

  CREATE TABLE broker_lists (               -- the newest lists of the brokers: one row
    number whole_number PRIMARY KEY CHECK (number >= 1),
    content text NOT NULL,                  -- JSON; who takes it checks it
    signatures text NOT NULL                -- JSON: by the authorities of the devices
  );
  CREATE TABLE broker_list_uses (
    node node_name PRIMARY KEY,
    number whole_number,                    -- of the lists that its broker was proved to use
    fault text,                             -- why it does not use newer ones
    probe text                              -- the certificate with which it is tried
  );

  -- A partition holds the ids of ten minutes, by the signed timestamp.
  CREATE TABLE replay_guard (
    device_id text COLLATE "C" NOT NULL,
    message_id uuid NOT NULL,
    slot integer NOT NULL,                  -- timestamp / 600
    second smallint NOT NULL,               -- timestamp % 600
    used whole_number NOT NULL,             -- wall clock, Unix seconds
    PRIMARY KEY (device_id, message_id, slot)
  ) PARTITION BY LIST (slot);
  CREATE TABLE replay_slots (
    slot integer PRIMARY KEY,
    used whole_number                       -- its ids were used then or later; NULL: not looked up
  );

  CREATE TABLE outbox (
    sequence bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    node node_name NOT NULL,                -- which sends it
    device_id text COLLATE "C" NOT NULL,
    message_id text NOT NULL,               -- as it stood in the message
    timestamp text NOT NULL,                -- as it stood in the message
    accepted_ms whole_number NOT NULL,      -- Unix milliseconds of the node's clock that never steps
    payload content NOT NULL,               -- the bytes under the signature
    command_state text                      -- NULL: it is a reading
  ) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);
  ALTER TABLE outbox ALTER COLUMN payload SET STORAGE EXTERNAL;
  CREATE INDEX outbox_by_device ON outbox (device_id, node, sequence);
  CREATE INDEX outbox_by_node ON outbox (node, sequence);

  CREATE TABLE outbox_changes (             -- by other programs; emptied by the node's gateway
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    node node_name NOT NULL,
    sequence whole_number NOT NULL,
    device_id text COLLATE "C" NOT NULL,
    is_callback boolean NOT NULL,
    is_added boolean NOT NULL,              -- false: it was taken out
    keeps_age boolean NOT NULL DEFAULT false -- true: it was accepted when it says so
  );
  CREATE INDEX outbox_changes_by_node ON outbox_changes (node);

  CREATE TABLE dead_letters (
    sequence whole_number PRIMARY KEY,      -- the outbox entry's
    node node_name NOT NULL,
    device_id text COLLATE "C" NOT NULL,
    message_id text NOT NULL,
    timestamp text NOT NULL,
    accepted_ms whole_number NOT NULL,
    payload content NOT NULL,
    command_state text,
    died_ms whole_number NOT NULL,          -- wall clock, Unix milliseconds
    status whole_number,                    -- the backend's last answer; NULL if none came
    reason text NOT NULL,
    content_type text,
    location text,
    body content
  );
  CREATE INDEX dead_letters_by_death ON dead_letters (died_ms, sequence);
  CREATE INDEX dead_letters_by_message ON dead_letters (device_id, lower(message_id));

  CREATE TABLE commands (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- in the order of acceptance
    node node_name NOT NULL,                -- which took it
    device_id text COLLATE "C" NOT NULL,
    message_id text COLLATE "C" NOT NULL UNIQUE,
    key_name text NOT NULL,                 -- of the API key
    state text NOT NULL,
    delivery text,                          -- NULL: the broker has not said anything
    created whole_number NOT NULL,          -- Unix seconds
    expires whole_number NOT NULL,          -- Unix seconds
    expires_asked whole_number NOT NULL,    -- \`expires\` when it was accepted
    accepted_steady whole_number NOT NULL,  -- Unix seconds of its clock that never steps
    is_kept boolean NOT NULL,               -- false: sent once, at once or not at all
    sends whole_number NOT NULL,
    copies whole_number NOT NULL,           -- that may be with the device
    last_sent whole_number,                 -- Unix seconds
    withdrawn boolean NOT NULL,
    is_told boolean NOT NULL,               -- true: the backend was told that it is sent
    ack_state text,
    ack_received whole_number,              -- Unix seconds
    ack_timestamp text,                     -- as in the message
    ack_payload content,                    -- the bytes under the signature
    payload content                         -- NULL once the command is final
  );
  CREATE INDEX commands_by_device ON commands (device_id, number);
  CREATE INDEX commands_waiting ON commands (device_id) WHERE state = 'waiting' AND is_kept;
  CREATE INDEX commands_sendable ON commands (device_id, last_sent)
    WHERE payload IS NOT NULL AND is_kept;
  CREATE INDEX commands_unfinished ON commands (expires) WHERE payload IS NOT NULL;
  CREATE INDEX commands_finished ON commands (expires) WHERE payload IS NULL;

  CREATE TABLE command_requests (
    key_name text COLLATE "C" NOT NULL,
    idempotency_key text COLLATE "C" NOT NULL,
    digest bytea NOT NULL,                  -- SHA-256 over device, body and TTL
    device_id text COLLATE "C" NOT NULL,
    message_id text COLLATE "C" NOT NULL,
    created whole_number NOT NULL,          -- Unix seconds
    answered boolean NOT NULL,              -- with what follows
    timestamp whole_number,                 -- Unix seconds
    delivery text,
    PRIMARY KEY (key_name, idempotency_key)
  );
  CREATE INDEX command_requests_by_age ON command_requests (created);
  CREATE INDEX command_requests_by_message ON command_requests (message_id);

  CREATE TABLE command_acknowledgers (      -- devices that have ever acknowledged a command
    device_id text COLLATE "C" PRIMARY KEY
  );
`;

/** The tables whose changes every gateway has to know of before it takes another message. */
const REGISTRY_TABLES = [
  ...["devices", "device_certificates", "device_revocations", "device_secrets"],
  ...["api_keys", "api_key_devices"],
] as const;

/** Counts up \`registry_revision\`, so that every gateway notices any writer. */
const REVISION = `
  CREATE FUNCTION count_registry_change() RETURNS trigger LANGUAGE plpgsql
    SET search_path = ${SCHEMA_NAME} AS $$
  BEGIN
    UPDATE marks SET value = value + 1 WHERE node = '' AND name = 'registry_revision';
    NOTIFY secure_iot_gateway_registry;
    RETURN NULL;
  END $$;
  ${
  REGISTRY_TABLES.map((table) => `
  CREATE TRIGGER ${table}_revision AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON ${table}
    FOR EACH STATEMENT EXECUTE FUNCTION count_registry_change();`).join("")
}`;

/** Keeps plain secrets out of a site that is sealed, whichever program writes them. */
const SEALED_ONLY = SECRET_COLUMNS.map(({ table, column }) => `
  CREATE FUNCTION refuse_plain_${table}() RETURNS trigger LANGUAGE plpgsql
    SET search_path = ${SCHEMA_NAME} AS $$
  DECLARE
    key bigint := (SELECT value FROM marks WHERE node = '' AND name = 'sealing_key');
  BEGIN
    IF key <> 0 AND substr(NEW.${column}, 1, 23) <> '$sealed$1$' || lpad(to_hex(key), 12, '0') || '$'
    THEN
      RAISE 'the secrets of this site are sealed';
    END IF;
    RETURN NEW;
  END $$;
  CREATE TRIGGER ${table}_sealed BEFORE INSERT OR UPDATE OF ${column} ON ${table}
    FOR EACH ROW EXECUTE FUNCTION refuse_plain_${table}();`).join("");

/** The audit only grows, but for its beginning once a mark says that it is trimmed. */
const APPEND_ONLY = `
  CREATE FUNCTION keep_audit() RETURNS trigger LANGUAGE plpgsql
    SET search_path = ${SCHEMA_NAME} AS $$
  BEGIN
    IF TG_OP = 'DELETE' AND OLD.sequence <
      (SELECT value FROM marks WHERE node = '' AND name = 'audit_first') THEN
      RETURN OLD;
    END IF;
    RAISE 'the audit is append-only';
  END $$;
  CREATE TRIGGER audit_kept BEFORE UPDATE OR DELETE ON audit
    FOR EACH ROW EXECUTE FUNCTION keep_audit();
  CREATE TRIGGER audit_whole BEFORE TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION keep_audit();`;

/** What a command becomes whose device is removed: one that is added again under its id is another. */
const REMOVED_DEVICES = `
  CREATE FUNCTION end_commands() RETURNS trigger LANGUAGE plpgsql
    SET search_path = ${SCHEMA_NAME} AS $$
  BEGIN
    UPDATE commands SET payload = NULL,
      state = CASE state WHEN 'waiting' THEN 'cancelled' ELSE 'unconfirmed' END
    WHERE device_id = OLD.device_id AND payload IS NOT NULL;
    DELETE FROM command_acknowledgers WHERE device_id = OLD.device_id;
    RETURN NULL;
  END $$;
  CREATE TRIGGER devices_end_commands AFTER DELETE ON devices
    FOR EACH ROW EXECUTE FUNCTION end_commands();`;

/** A trigger that notes a change, with who made it. */
function auditTrigger({ on, when, event, subject, detail }: AuditedChange, number: number): string {
  const name = `audit_${number + 1}`;
  return `
  CREATE FUNCTION ${name}() RETURNS trigger LANGUAGE plpgsql
    SET search_path = ${SCHEMA_NAME} AS $$
  BEGIN
    INSERT INTO audit_notes (at, author, event, subject, detail, count)
    VALUES (extract(epoch FROM clock_timestamp())::bigint, audit_author(), ${event}, ${subject},
      ${detail ?? "''"}, 1);
    RETURN NULL;
  END $$;
  CREATE TRIGGER ${name} AFTER ${on} FOR EACH ROW ${when ? `WHEN (${when})` : ""}
    EXECUTE FUNCTION ${name}();`;
}

const AUDIT = `
  CREATE FUNCTION audit_author() RETURNS text LANGUAGE sql STABLE AS $$
    SELECT coalesce(nullif(current_setting('secure_iot_gateway.author', true), ''),
      'another program')
  $$;
  ${AUDITED_CHANGES.map(auditTrigger).join("")}`;

/** All of it, for a schema that has nothing yet. */
export const CREATE_TABLES: string = [
  ...[CREATE_DOMAINS, TABLES, REVISION, SEALED_ONLY, APPEND_ONLY, REMOVED_DEVICES, AUDIT],
].join("\n");
