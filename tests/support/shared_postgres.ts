/**
 * Live sites on PostgreSQL instead of SQLite: with TEST_STORE=postgres, each site of a test file has a
 * database of its own on one server.
 */

import { openStore } from "../../src/store/open_store.ts";
import { startPostgres, type TemporaryPostgres } from "./temporary_postgres.ts";

const isShared = Deno.env.get("TEST_STORE") === "postgres";

let server: TemporaryPostgres | undefined;

if (isShared) {
  Deno.test.beforeAll(async () => void (server = await startPostgres()));
  Deno.test.afterAll(() => server?.end());
}

/** Settings of a site that has its store on the server; none where its store is a file. */
export async function sharedStoreSettings(): Promise<Readonly<Record<string, string>>> {
  if (server === undefined) return {};
  const place = await server.place();
  await (await openStore(place, { author: "command", create: true })).close();
  return {
    STORE_ENGINE: "postgres",
    STORE_URL: `postgres://${place.user}@127.0.0.1:${server.port}/${place.database}`,
    STORE_DURABILITY: "local",
    NODE_NAME: place.node,
  };
}
