/**
 * What the server does at once: taking in a batch, forgetting ids, chaining the audit.
 *
 * `intake` is one statement, so that a batch costs one round trip and one commit. The rules are:
 * - it changes nothing if the verdicts were made with another registry, another floor, or other ids in
 *   mind than are there: it says so, and the batch is decided on again;
 * - a node whose epoch is over changes nothing (SQLSTATE SG001), so that two gateways never work as
 *   one node; and a batch is taken in once, whatever becomes of the answer: `conclude_batch` says
 *   what it has come to;
 * - an id and its entry are there both or not at all; where another node has just taken the same id,
 *   the batch fails (23505), and is decided on again.
 */

import { CREATE_NODE_FUNCTIONS } from "./node_functions.ts";
import { CHANNEL, FENCED, HEAD, mark, NOT_REPLICATED } from "./sql_parts.ts";

/** SQLSTATE of a batch with an id that another node has taken in the same moment. */
export const ID_TAKEN = "23505";

/** SQLSTATE of an id for whose time there is no partition. */
export const NO_SLOT = "23514";

/** Seconds of timestamps whose ids are in one partition. */
export const SLOT_SECONDS = 600;

/** Without them nobody knows what was revoked or forgotten: nothing is taken in. */
const MARKS_MISSING = "marks of the store are missing: restore it";

const OPEN_SLOTS = `
  CREATE FUNCTION open_slots(wanted integer[]) RETURNS void ${HEAD}
  DECLARE
    forgotten bigint;
    one integer;
    part text;
  BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('secure_iot_gateway slots'));
    forgotten := ${mark("forgotten_seconds")};
    IF forgotten IS NULL THEN
      RAISE EXCEPTION '${MARKS_MISSING}';
    END IF;
    FOREACH one IN ARRAY wanted LOOP
      CONTINUE WHEN EXISTS (SELECT FROM replay_slots WHERE slot = one);
      CONTINUE WHEN one::bigint * ${SLOT_SECONDS} + ${SLOT_SECONDS - 1} <= forgotten;
      part := 'replay_guard_' || one;
      EXECUTE format('CREATE TABLE %I (LIKE replay_guard INCLUDING ALL)', part);
      EXECUTE format('ALTER TABLE replay_guard ATTACH PARTITION %I FOR VALUES IN (%s)', part, one);
      INSERT INTO replay_slots (slot) VALUES (one);
    END LOOP;
  END $$;`;

/**
 * `oldest`: a message may still be taken that is this old; `used_before`: see `checks.remember`;
 * `oldest_ever`: no gateway takes an older one, however long it was away, by this node's clock. It may
 * be wrong, so the server's counts as well: one node's clock must not make all forget.
 */
const FORGET_IDS = `
  CREATE FUNCTION forget_ids(me text, oldest bigint, used_before bigint, oldest_ever bigint,
    reach_seconds bigint) RETURNS boolean ${HEAD}
  DECLARE
    bound bigint := least(oldest_ever, extract(epoch FROM clock_timestamp())::bigint - reach_seconds);
    safe bigint;
    one integer;
    newest bigint;
    last_used bigint;
  BEGIN
    UPDATE nodes SET oldest_seconds = oldest
    WHERE node = me AND abs(coalesce(oldest_seconds, 0) - oldest) >= 10;
    SELECT min(least(greatest(oldest_seconds, bound), oldest)) INTO safe
    FROM nodes WHERE oldest_seconds IS NOT NULL;
    SELECT slot INTO one FROM replay_slots
    WHERE (slot + 1)::bigint * ${SLOT_SECONDS} <= coalesce(safe, oldest)
      AND (used_before IS NULL OR coalesce(used, 0) < used_before) ORDER BY slot LIMIT 1;
    IF ${
  mark("forgotten_seconds")
} IS NULL OR one IS NULL OR NOT pg_try_advisory_xact_lock(hashtext('secure_iot_gateway slots')) THEN
      RETURN false;
    END IF;
    PERFORM set_config('lock_timeout', '200ms', true);
    EXECUTE format('SELECT max(second), max(used) FROM %I', 'replay_guard_' || one)
      INTO newest, last_used;
    IF last_used >= used_before THEN
      UPDATE replay_slots SET used = last_used WHERE slot = one;
      RETURN true;
    END IF;
    EXECUTE format('ALTER TABLE replay_guard DETACH PARTITION %I', 'replay_guard_' || one);
    EXECUTE format('DROP TABLE %I', 'replay_guard_' || one);
    DELETE FROM replay_slots WHERE slot = one;
    UPDATE marks SET value = greatest(value, one::bigint * ${SLOT_SECONDS} + newest)
    WHERE node = '' AND name = 'forgotten_seconds' AND newest IS NOT NULL;
    RETURN true;
  EXCEPTION WHEN lock_not_available OR undefined_table THEN
    RETURN false;
  END $$;`;

/** Notes that are chained in one transaction, so that nobody waits long for it. */
const CHAINED_MAX = 5_000;

/** True if there are more. The text under a hash is what JSON.stringify makes: `to_json` escapes a text in the same way. */
const CHAIN_NOTES = `
  CREATE FUNCTION chain_notes() RETURNS boolean ${HEAD}
  DECLARE
    note record;
    last bigint;
    before bytea;
  BEGIN
    IF NOT EXISTS (SELECT FROM audit_notes) THEN
      RETURN false;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('secure_iot_gateway audit'));
    SELECT sequence, hash INTO last, before FROM audit ORDER BY sequence DESC LIMIT 1;
    IF last IS NULL THEN
      last := 0;
      before := decode(repeat('00', 32), 'hex');
    END IF;
    FOR note IN SELECT * FROM audit_notes ORDER BY number LIMIT ${CHAINED_MAX} LOOP
      last := last + 1;
      before := sha256(before || convert_to(format('[%s,%s,%s,%s,%s,%s,%s]', last, note.at,
        to_json(note.author), to_json(note.event), to_json(note.subject), to_json(note.detail),
        note.count), 'UTF8'));
      INSERT INTO audit VALUES (last, note.at, note.author, note.event, note.subject, note.detail,
        note.count, before);
      DELETE FROM audit_notes WHERE number = note.number;
    END LOOP;
    UPDATE marks SET value = last WHERE node = '' AND name = 'audit_last';
    RETURN EXISTS (SELECT FROM audit_notes);
  END $$;`;

/** Drops what is over the limits; see the SQLite engine's audit_log.ts. */
const TRIM_AUDIT = `
  CREATE FUNCTION trim_audit(now_seconds bigint, age_seconds bigint, limits jsonb) RETURNS void ${HEAD}
  DECLARE
    first bigint := ${mark("audit_first")};
    last bigint := ${mark("audit_last")};
    max_count bigint := (limits->>'maxCount')::bigint;
    since bigint := age_seconds - (limits->>'maxAgeMs')::numeric / 1000;
    amount bigint := 0;
    through bigint;
    kept bytea;
  BEGIN
    IF last - first + 1 > max_count THEN
      amount := last - first + 1 - floor(max_count * 0.9);
    END IF;
    IF (SELECT at FROM audit WHERE sequence = first) < since - 86400 THEN
      amount := greatest(amount, coalesce((SELECT min(sequence) FROM audit WHERE at >= since),
        last + 1) - first);
    END IF;
    amount := least(amount, 5000, last - first);
    IF amount <= 0 OR NOT pg_try_advisory_xact_lock(hashtext('secure_iot_gateway trim')) THEN
      RETURN;
    END IF;
    through := first + amount - 1;
    SELECT hash INTO kept FROM audit WHERE sequence = through;
    INSERT INTO audit_notes (at, author, event, subject, detail, count)
    VALUES (now_seconds, audit_author(), 'audit_trimmed', '',
      through || ' ' || encode(kept, 'hex'), amount);
    UPDATE marks SET value = through + 1 WHERE node = '' AND name = 'audit_first';
    DELETE FROM audit WHERE sequence <= through;
  END $$;`;

/** Deletes what is old; `limits` are those of the settings. */
const TIDY = `
  CREATE FUNCTION tidy(now_seconds bigint, age_ms bigint, limits jsonb) RETURNS jsonb ${HEAD}
  DECLARE
    expired jsonb;
    surplus jsonb := '[]';
    amount bigint;
    commands_gone bigint;
    requests_gone bigint;
  BEGIN
    WITH gone AS (
      DELETE FROM dead_letters WHERE died_ms < age_ms - (limits->'deadLetters'->>'maxAgeMs')::numeric
      RETURNING device_id, message_id, died_ms, sequence
    ) SELECT coalesce(jsonb_agg(jsonb_build_array(device_id, message_id) ORDER BY died_ms, sequence), '[]')
      INTO expired FROM gone;
    SELECT count(*) - (limits->'deadLetters'->>'maxCount')::bigint INTO amount FROM dead_letters;
    IF amount > 0 THEN
      WITH gone AS (
        DELETE FROM dead_letters WHERE sequence IN
          (SELECT sequence FROM dead_letters ORDER BY died_ms, sequence LIMIT amount)
        RETURNING device_id, message_id, died_ms, sequence
      ) SELECT jsonb_agg(jsonb_build_array(device_id, message_id) ORDER BY died_ms, sequence)
        INTO surplus FROM gone;
    END IF;
    DELETE FROM commands WHERE number IN (
      SELECT number FROM commands WHERE payload IS NULL
        AND expires < floor((age_ms - (limits->>'keepMs')::numeric) / 1000) LIMIT 64);
    GET DIAGNOSTICS commands_gone = ROW_COUNT;
    DELETE FROM command_requests WHERE (key_name, idempotency_key) IN (
      SELECT key_name, idempotency_key FROM command_requests
      WHERE created < floor((age_ms - (limits->>'keepKeysMs')::numeric) / 1000) LIMIT 64);
    GET DIAGNOSTICS requests_gone = ROW_COUNT;
    PERFORM trim_audit(now_seconds, age_ms / 1000, limits->'audit');
    PERFORM chain_notes();
    RETURN jsonb_build_object('expired', expired || surplus,
      'untidy', commands_gone = 64 OR requests_gone = 64,
      'overdue', EXISTS (SELECT FROM commands WHERE payload IS NOT NULL AND expires <= now_seconds));
  END $$;`;

/**
 * Takes in a batch. `looked_*`: ids that a signature verified, to be looked up. `entry_*`: what goes
 * into the outbox in this order; an id of one with a `second` is remembered. `copy_*`: ids of
 * commands that are about to be published.
 */
const INTAKE = `
  CREATE FUNCTION intake(me text, my_epoch bigint, batch bigint, now_seconds bigint,
    accepted_ms bigint, seen jsonb,
    looked_device text[], looked_id uuid[],
    entry_device text[], entry_id text[], entry_timestamp text[], entry_second bigint[],
    entry_state text[], entry_bytes integer[], payloads bytea,
    copy_device text[], copy_id uuid[], copy_second bigint[],
    settled bigint[], more jsonb
  ) RETURNS jsonb ${HEAD}
  DECLARE
    known integer[];
    numbers bigint[];
    changes jsonb;
    gone bigint;
    result jsonb;
    others text[];
    told bigint;
    behind jsonb := '{}';
  BEGIN
    IF (seen->>'replicated')::boolean AND (current_setting('synchronous_standby_names') = ''
      OR current_setting('synchronous_commit') IN ('off', 'local')) THEN
      RAISE EXCEPTION 'no second server has what is written (synchronous_standby_names is "%", '
        'synchronous_commit is %); store.durability = "local" allows that',
        current_setting('synchronous_standby_names'), current_setting('synchronous_commit')
        USING ERRCODE = '${NOT_REPLICATED}';
    END IF;
    IF ${mark("registry_revision")} IS NULL OR ${mark("forgotten_seconds")} IS NULL THEN
      RAISE EXCEPTION '${MARKS_MISSING}';
    END IF;
    IF (seen->>'revision')::bigint <> ${mark("registry_revision")} THEN
      RETURN '{"kind":"stale"}';
    END IF;
    IF (seen->>'forgotten')::bigint <> ${mark("forgotten_seconds")} THEN
      RETURN jsonb_build_object('kind', 'forgotten', 'forgotten', ${mark("forgotten_seconds")});
    END IF;
    SELECT coalesce(array_agg(place - 1 ORDER BY place), '{}') INTO known
    FROM unnest(looked_device, looked_id) WITH ORDINALITY AS looked(device_id, message_id, place)
    WHERE (SELECT true FROM replay_guard g
      WHERE g.device_id = looked.device_id AND g.message_id = looked.message_id LIMIT 1);
    IF to_jsonb(known) <> seen->'known' THEN
      RETURN jsonb_build_object('kind', 'known', 'known', known);
    END IF;

    -- The fence.
    UPDATE nodes SET last_batch = batch
    WHERE node = me AND epoch = my_epoch AND last_batch < batch;
    IF NOT FOUND THEN
      RAISE EXCEPTION 'another gateway works as node "%" now', me USING ERRCODE = '${FENCED}';
    END IF;

    IF cardinality(entry_device) + cardinality(copy_device) > 0 THEN
      INSERT INTO replay_guard (device_id, message_id, slot, second, used)
      SELECT device_id, id::uuid, second / ${SLOT_SECONDS}, second % ${SLOT_SECONDS}, now_seconds
      FROM unnest(entry_device, entry_id, entry_second) AS e(device_id, id, second)
      WHERE second IS NOT NULL ORDER BY 1, 2;
      INSERT INTO replay_guard (device_id, message_id, slot, second, used)
      SELECT device_id, id, second / ${SLOT_SECONDS}, second % ${SLOT_SECONDS}, now_seconds
      FROM unnest(copy_device, copy_id, copy_second) AS c(device_id, id, second)
      ORDER BY 1, 2 ON CONFLICT DO NOTHING;
    END IF;

    -- The outbox is read by numbers here and by devices below, never through all that a node had: what
    -- is no equation, or no order of an index, keeps the index of nodes out.
    INSERT INTO dead_letters (sequence, node, device_id, message_id, timestamp, accepted_ms, payload,
      command_state, died_ms, status, reason, content_type, location, body)
    SELECT o.sequence, o.node, o.device_id, o.message_id, o.timestamp, o.accepted_ms, o.payload,
      o.command_state, d.died_ms, d.status, d.reason, d.content_type, d.location,
      decode(d.body, 'base64')
    FROM jsonb_to_recordset(more->'deaths') AS d(sequence bigint, died_ms bigint, status bigint,
      reason text, content_type text, location text, body text)
    CROSS JOIN LATERAL (SELECT * FROM outbox
      WHERE sequence = d.sequence AND node IS NOT DISTINCT FROM me LIMIT 1) AS o;
    DELETE FROM outbox WHERE sequence = ANY (settled) AND node IS NOT DISTINCT FROM me;
    GET DIAGNOSTICS gone = ROW_COUNT;

    WITH taken AS (DELETE FROM outbox_changes WHERE node = me RETURNING *)
    SELECT coalesce(jsonb_agg(jsonb_build_array(sequence, device_id, is_callback, is_added, keeps_age)
      ORDER BY number), '[]') INTO changes FROM taken;
    IF changes <> '[]' THEN
      UPDATE outbox o SET accepted_ms = intake.accepted_ms
      WHERE o.sequence IN (SELECT (c->>0)::bigint FROM jsonb_array_elements(changes) c
        WHERE (c->>3)::boolean AND NOT (c->>4)::boolean);
    END IF;

    numbers := ARRAY(SELECT nextval(pg_get_serial_sequence('outbox', 'sequence'))
      FROM generate_series(1, cardinality(entry_device)));
    INSERT INTO outbox (sequence, node, device_id, message_id, timestamp, accepted_ms, payload,
      command_state)
    SELECT number, me, device_id, id, stamp, intake.accepted_ms,
      substr(payloads, (sum(bytes) OVER (ORDER BY place))::integer - bytes + 1, bytes), state
    FROM unnest(numbers, entry_device, entry_id, entry_timestamp, entry_state, entry_bytes)
      WITH ORDINALITY AS e(number, device_id, id, stamp, state, bytes, place);

    others := ARRAY(SELECT node FROM nodes WHERE node <> me);
    IF others <> '{}' THEN
      WITH heard AS (
        INSERT INTO presence SELECT DISTINCT device_id, me
        FROM jsonb_array_elements_text(more->'heard') AS h(device_id) ORDER BY device_id
        ON CONFLICT (device_id) DO UPDATE SET node = me WHERE presence.node <> me
        RETURNING device_id
      ), moved AS (
        UPDATE mail m SET node = me FROM heard
        WHERE m.device_id = heard.device_id AND m.node <> me AND NOT m.is_taken RETURNING 1
      ) SELECT count(pg_notify('${CHANNEL}',
          jsonb_build_object('moved', device_id, 'node', me)::text)) INTO told FROM heard;
      SELECT coalesce(jsonb_object_agg(device_id, oldest), '{}') INTO behind FROM (
        SELECT device_id, min(oldest.sequence) AS oldest FROM (
          SELECT unnest(entry_device) AS device_id
          UNION SELECT jsonb_array_elements_text(more->'held')
          UNION SELECT c->>1 FROM jsonb_array_elements(changes) c WHERE (c->>3)::boolean
        ) AS devices CROSS JOIN unnest(others) AS other CROSS JOIN LATERAL (
          SELECT o.sequence FROM outbox o WHERE o.device_id = devices.device_id AND o.node = other
          ORDER BY o.sequence + 0 LIMIT 1
        ) AS oldest GROUP BY device_id
      ) AS waiting;
    END IF;

    INSERT INTO audit_notes (at, author, event, subject, detail, count)
    SELECT (n->>0)::bigint, audit_author(), n->>1, n->>2, n->>3, (n->>4)::bigint
    FROM jsonb_array_elements(more->'notes') WITH ORDINALITY AS notes(n, place) ORDER BY place;
    INSERT INTO audit_rejections
    SELECT me, r->>0, r->>1, (r->>2)::bigint, (r->>3)::bigint, (r->>4)::bigint
    FROM jsonb_array_elements(more->'periods') r
    ON CONFLICT (node, identity, code) DO UPDATE
      SET since = excluded.since, seconds = excluded.seconds, count = excluded.count;
    DELETE FROM audit_rejections a USING jsonb_array_elements(more->'ended') r
    WHERE a.node = me AND a.identity = r->>0 AND a.code = r->>1;
    INSERT INTO marks SELECT me, key, value::bigint FROM jsonb_each_text(more->'marks')
    ON CONFLICT (node, name) DO UPDATE SET value = excluded.value;

    result := jsonb_build_object('kind', 'done', 'numbers', numbers, 'changes', changes,
      'settled', gone, 'behind', behind);
    UPDATE nodes SET last_result = result WHERE node = me;
    RETURN result;
  END $$;`;

/** All of them, for a schema that has the tables. */
export const CREATE_FUNCTIONS: string = [
  ...[
    CREATE_NODE_FUNCTIONS,
    OPEN_SLOTS,
    FORGET_IDS,
    CHAIN_NOTES,
    TRIM_AUDIT,
    TIDY,
    INTAKE,
  ],
].join("\n");
