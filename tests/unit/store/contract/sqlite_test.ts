import { openStore } from "../../../../src/store/open_store.ts";
import type { Store } from "../../../../src/store/store.ts";
import { withFolder } from "../../../support/with_folder.ts";
import { storeContract } from "./store_contract.ts";

storeContract("SQLite", async (work) => {
  await withFolder(async (folder) => {
    const opened: Store[] = [];
    try {
      await work(async (author = "command", sealingKey) => {
        const place = { database: `${folder}/gateway.db`, ...(sealingKey && { sealingKey }) };
        const store = await openStore(place, { author, create: true });
        opened.push(store);
        return store;
      });
    } finally {
      for (const store of opened) await store.close();
    }
  });
});
