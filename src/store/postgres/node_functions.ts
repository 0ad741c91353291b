/**
 * What the server does for the gateways that share it: epochs, leases, taking over what one has left.
 *
 * A node's epoch counts the gateways that have worked as it; only the newest changes anything. A lease
 * is by the server's clock alone.
 */

import { FENCED, HEAD } from "./sql_parts.ts";

/** How long a node that begins may take to renew its lease. */
const BEGINS_WITHIN = "5 seconds";

const BEGIN_EPOCH = `
  CREATE FUNCTION begin_epoch(me text) RETURNS bigint ${HEAD}
  DECLARE
    mine bigint;
  BEGIN
    INSERT INTO nodes (node, epoch, last_batch) VALUES (me, 1, 0)
    ON CONFLICT (node) DO UPDATE SET epoch = nodes.epoch + 1, last_batch = 0, last_result = NULL
    RETURNING epoch INTO mine;
    -- Until its first renewal: whose place it takes would take it back in the meantime.
    UPDATE leases SET renewed = clock_timestamp(),
      wall_ms = leases.wall_ms + (extract(epoch FROM clock_timestamp() - renewed) * 1000)::bigint,
      until = greatest(until, clock_timestamp() + interval '${BEGINS_WITHIN}') WHERE node = me;
    RETURN mine;
  END $$;`;

/** Most others that are seen, those at work first. */
const NODES_MAX = 1_000;

/** Says that a node is at work; answers how its clock is, and what there is of the others. */
const RENEW_LEASE = `
  CREATE FUNCTION renew_lease(me text, my_epoch bigint, lease_ms bigint, wall_ms bigint)
    RETURNS jsonb ${HEAD}
  DECLARE
    now timestamptz := clock_timestamp();
  BEGIN
    IF NOT EXISTS (SELECT FROM nodes WHERE node = me AND epoch = my_epoch) THEN
      RAISE EXCEPTION 'another gateway works as node "%" now', me USING ERRCODE = '${FENCED}';
    END IF;
    INSERT INTO leases
    VALUES (me, now + lease_ms * interval '1 millisecond', now, renew_lease.wall_ms)
    ON CONFLICT (node) DO UPDATE SET until = excluded.until, renewed = excluded.renewed,
      wall_ms = excluded.wall_ms;
    RETURN jsonb_build_object(
      'aheadMs', renew_lease.wall_ms - (extract(epoch FROM now) * 1000)::bigint,
      'nodes', (SELECT coalesce(jsonb_agg(jsonb_build_object('node', l.node,
          'leftMs', (extract(epoch FROM l.until - now) * 1000)::bigint,
          'hasWork', EXISTS (SELECT FROM outbox o WHERE o.node = l.node)
            OR EXISTS (SELECT FROM commands c WHERE c.node = l.node AND c.payload IS NOT NULL)
            OR EXISTS (SELECT FROM dead_letters d WHERE d.node = l.node)
        ) ORDER BY l.node), '[]') FROM (
          SELECT * FROM leases WHERE node <> me ORDER BY until DESC LIMIT ${NODES_MAX}
        ) AS l));
  END $$;`;

/** SQLSTATE: the node that was to be adopted is at work. */
export const AT_WORK = "SG003";

/** A number as SQL that stays one which gateways can read, whatever it was made of. */
function clamped(sum: string): string {
  return `least(greatest(${sum}, -${Number.MAX_SAFE_INTEGER}), ${Number.MAX_SAFE_INTEGER})`;
}

/** Entries that are taken over in one transaction. */
const ADOPTED_MAX = 20_000;

/**
 * Takes over what a node has left. Its epoch is over first, which waits for its commit under way: from
 * then on it changes nothing. Ages go on by the clock of the one that adopts.
 */
const ADOPT = `
  CREATE FUNCTION adopt(me text, my_epoch bigint, gone text) RETURNS jsonb ${HEAD}
  DECLARE
    step_ms bigint := coalesce((SELECT value FROM marks m WHERE m.node = me
        AND m.name = 'steady_offset_ms'), 0)
      - coalesce((SELECT value FROM marks m WHERE m.node = gone AND m.name = 'steady_offset_ms'), 0);
    entries bigint;
    devices jsonb;
  BEGIN
    -- Waits for its own commit under way, which would otherwise not see that these go first now.
    PERFORM FROM nodes WHERE node = me AND epoch = my_epoch FOR UPDATE;
    IF NOT FOUND THEN
      RAISE EXCEPTION 'another gateway works as node "%" now', me USING ERRCODE = '${FENCED}';
    END IF;
    UPDATE nodes SET epoch = epoch + 1, last_batch = 0, last_result = NULL WHERE node = gone;
    IF EXISTS (SELECT FROM leases WHERE node = gone AND until > clock_timestamp()) THEN
      RAISE EXCEPTION 'node "%" is at work', gone USING ERRCODE = '${AT_WORK}';
    END IF;
    WITH moved AS (
      UPDATE outbox SET node = me, accepted_ms = ${clamped("accepted_ms + step_ms")}
      WHERE sequence IN (
        SELECT sequence FROM outbox WHERE node = gone ORDER BY sequence LIMIT ${ADOPTED_MAX})
      RETURNING sequence, device_id, command_state
    ), told AS (
      INSERT INTO outbox_changes (node, sequence, device_id, is_callback, is_added, keeps_age)
      SELECT me, sequence, device_id, command_state IS NOT NULL, true, true FROM moved
      ORDER BY sequence RETURNING 1
    ) SELECT count(*) INTO entries FROM told;
    DELETE FROM outbox_changes WHERE node = gone;
    UPDATE dead_letters SET node = me WHERE node = gone;
    WITH moved AS (
      UPDATE commands SET node = me, accepted_steady = ${
  clamped("accepted_steady + step_ms / 1000")
}
      WHERE node = gone AND payload IS NOT NULL RETURNING device_id
    ) SELECT coalesce(jsonb_agg(DISTINCT device_id), '[]') INTO devices FROM moved;
    RETURN jsonb_build_object('entries', entries, 'commandDevices', devices);
  END $$;`;

/**
 * What a batch has come to whose answer was lost: it waits for a commit that hangs, and after it the
 * batch is taken in no more. It always writes, so that what it answers is where it is itself: on a
 * second server, if it waits for one. `{"kind":"not_done"}` if it was not.
 */
const CONCLUDE_BATCH = `
  CREATE FUNCTION conclude_batch(me text, my_epoch bigint, batch bigint) RETURNS jsonb ${HEAD}
  DECLARE
    result jsonb;
  BEGIN
    UPDATE nodes SET last_batch = batch,
      last_result = CASE WHEN last_batch = batch THEN last_result END
    WHERE node = me AND epoch = my_epoch AND last_batch <= batch
    RETURNING coalesce(last_result, '{"kind":"not_done"}') INTO result;
    IF result IS NULL THEN
      RAISE EXCEPTION 'another gateway works as node "%" now', me USING ERRCODE = '${FENCED}';
    END IF;
    RETURN result;
  END $$;`;

/** All of them. */
export const CREATE_NODE_FUNCTIONS: string = [
  ...[BEGIN_EPOCH, RENEW_LEASE, ADOPT, CONCLUDE_BATCH],
].join("\n");
