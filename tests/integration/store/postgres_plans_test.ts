/** How the server finds what a batch is about: the tables are empty when it makes its plans. */

import assert from "node:assert/strict";
import type { Settlement } from "../../../src/core/delivery.ts";
import { openStore } from "../../../src/store/open_store.ts";
import { HAS_POSTGRES, withPostgres } from "../../support/temporary_postgres.ts";
import { batch, candidate, messagesOf } from "../../unit/store/contract/sample_batch.ts";

const BATCHES = 12;
const MESSAGES = 64;

Deno.test({
  name: "a batch reads no more of the outbox and of the remembered ids than its own, however many",
  ignore: !HAS_POSTGRES,
  fn: () =>
    withPostgres(async (postgres) => {
      const place = await postgres.place();
      const stores = await Promise.all(
        ["a", "b"].map((node) =>
          openStore({ ...place, node }, { author: "gateway", create: true })
        ),
      );
      for (const store of stores) {
        const messages = messagesOf(store);
        let settlements: Settlement[] = [];
        for (let i = 0; i < BATCHES; i++) {
          const examined = Array.from({ length: MESSAGES }, (_, n) => candidate(`device_${n}`));
          const { committed } = await messages.commit(
            batch({ examined, settlements, held: ["device_0"] }),
          );
          const half = committed.slice(0, MESSAGES / 2);
          settlements = half.flatMap((one) =>
            one.kind === "accepted" ? { sequence: one.entry.sequence, deadLetter: undefined } : []
          );
        }
      }
      for (const store of stores) await store.close(); // only then all of it is counted
      const scanned = await postgres.server.sql(
        `SELECT relname, seq_tup_read FROM pg_stat_user_tables
         WHERE seq_tup_read > 0 AND (relname = 'outbox' OR relname LIKE 'replay_guard%')`,
        place.database,
      );
      assert.equal(scanned, "");
      const read = await postgres.server.sql(
        `SELECT indexrelname, idx_tup_read FROM pg_stat_user_indexes
         WHERE idx_tup_read > 0 AND (indexrelname = 'outbox_by_node' OR relname LIKE 'replay_guard%')`,
        place.database,
      );
      assert.equal(read, "");
    }),
});
