import { openStore } from "../../../src/store/open_store.ts";
import type { Store } from "../../../src/store/store.ts";
import { HAS_POSTGRES, TemporaryPostgres } from "../../support/temporary_postgres.ts";
import { storeContract } from "../../unit/store/contract/store_contract.ts";

let server: TemporaryPostgres;

if (HAS_POSTGRES) {
  Deno.test.beforeAll(async () => void (server = await TemporaryPostgres.start()));
  Deno.test.afterAll(() => server.end());
  storeContract("PostgreSQL", async (work) => {
    const place = await server.place();
    const opened: Store[] = [];
    try {
      await work(async (author = "command", sealingKey) => {
        const options = { author, create: true };
        const store = await openStore({ ...place, ...(sealingKey && { sealingKey }) }, options);
        opened.push(store);
        return store;
      });
    } finally {
      for (const store of opened) await store.close();
    }
  });
}
