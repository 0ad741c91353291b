/**
 * Live sites on PostgreSQL instead of SQLite: with TEST_STORE=postgres, each site of a test file has a
 * database of its own on one server.
 */

import { openStore } from "../../src/store/open_store.ts";
import { TemporaryPostgres } from "./temporary_postgres.ts";

const isShared = Deno.env.get("TEST_STORE") === "postgres";

let postgres: TemporaryPostgres | undefined;

if (isShared) {
  Deno.test.beforeAll(async () => void (postgres = await TemporaryPostgres.start()));
  Deno.test.afterAll(() => postgres?.end());
}

/** Settings of a site that has its store on the server; none where its store is a file. */
export async function sharedStoreSettings(): Promise<Readonly<Record<string, string>>> {
  if (postgres === undefined) return {};
  const place = await postgres.place();
  await (await openStore(place, { author: "command", create: true })).close();
  return {
    STORE_ENGINE: "postgres",
    STORE_URL: `postgres://${place.user}@127.0.0.1:${place.hosts[0]!.port}/${place.database}`,
    STORE_DURABILITY: "local",
    NODE_NAME: place.node,
  };
}
