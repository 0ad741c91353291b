/** What the servers say of themselves. */

import type { ServerFacts } from "../server_facts.ts";
import type { PostgresPlace } from "../store_place.ts";
import type { Connection } from "./connection.ts";
import { serverRoles } from "./primary.ts";

const ASK = `
  SELECT current_setting('server_version') AS version,
    coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false) AS is_encrypted,
    current_setting('synchronous_standby_names') AS standbys,
    current_setting('synchronous_commit') AS synchronous_commit,
    (SELECT count(*) FROM pg_stat_replication) AS followers,
    (SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')) AS waited_for,
    current_setting('fsync') = 'on' AS fsync,
    current_setting('full_page_writes') = 'on' AS full_page_writes,
    (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS is_superuser,
    (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS server_ms,
    coalesce((SELECT max(extract(epoch FROM now() - xact_start)) FROM pg_stat_activity
      WHERE xact_start IS NOT NULL), 0)::bigint AS oldest_seconds`;

/** The facts now. */
export async function serverFacts(
  place: PostgresPlace,
  connection: Connection,
): Promise<ServerFacts> {
  const roles = await serverRoles(place);
  const [row] = await connection.query(ASK);
  return {
    version: row!["version"] as string,
    isEncrypted: row!["is_encrypted"] as boolean,
    synchronousStandbys: row!["standbys"] as string,
    synchronousCommit: row!["synchronous_commit"] as string,
    followers: row!["followers"] as number,
    waitedFor: row!["waited_for"] as number,
    fsync: row!["fsync"] as boolean,
    fullPageWrites: row!["full_page_writes"] as boolean,
    isSuperuser: row!["is_superuser"] as boolean,
    aheadMs: Date.now() - (row!["server_ms"] as number),
    oldestTransactionSeconds: row!["oldest_seconds"] as number,
    hosts: place.hosts.map(({ host, port }, i) => ({ name: `${host}:${port}`, role: roles[i]! })),
  };
}
