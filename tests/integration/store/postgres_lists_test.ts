/** The brokers' lists in a store that several gateways share. */

import assert from "node:assert/strict";
import { openStore } from "../../../src/store/open_store.ts";
import type { Store } from "../../../src/store/store.ts";
import {
  HAS_POSTGRES,
  type TemporaryPostgres,
  withPostgres,
} from "../../support/temporary_postgres.ts";
import { messagesOf } from "../../unit/store/contract/sample_batch.ts";

function testLists(
  name: string,
  work: (parts: { store: Store; postgres: TemporaryPostgres; database: string }) => Promise<void>,
): void {
  const fn = () =>
    withPostgres(async (postgres) => {
      const place = await postgres.place();
      const store = await openStore(place, { author: "command", create: true });
      try {
        await work({ store, postgres, database: place.database });
      } finally {
        await store.close();
      }
    });
  Deno.test({ name, ignore: !HAS_POSTGRES, fn });
}

function listsOf(number: number) {
  return { number, content: `content ${number}`, signatures: `signatures ${number}` };
}

testLists("the newest lists are there, and only those", async ({ store: { lists } }) => {
  assert.equal(await lists!.newest(), undefined);
  assert.deepEqual(await lists!.numbers("a"), { newest: 0, used: undefined });
  assert.ok(await lists!.publish(listsOf(2), 0));
  assert.ok(await lists!.publish(listsOf(5), 2));
  assert.deepEqual({ ...await lists!.newest() }, listsOf(5));
});

testLists("of those who put lists there at the same time, one does", async ({ store }) => {
  const { lists } = store;
  const done = await Promise.all([2, 3, 4, 5].map((number) => lists!.publish(listsOf(number), 0)));
  assert.equal(done.filter((one) => one).length, 1);
  const { number } = (await lists!.newest())!;
  assert.equal(await lists!.publish(listsOf(9), 0), false);
  assert.ok(await lists!.publish(listsOf(9), number));
});

testLists("what a broker uses is noted, and forgotten with its gateway", async ({ store }) => {
  const { lists, nodes } = store;
  await lists!.publish(listsOf(3), 0);
  const messages = messagesOf(store);
  await messages.backlog()[Symbol.asyncIterator]().next();
  await lists!.note({ node: "a", number: undefined, fault: "it is down", probe: undefined });
  assert.equal((await messages.counts()).listsBehind, 3);
  await lists!.note({ node: "a", number: 2, fault: "it\0is down", probe: "a certificate" });
  assert.deepEqual(await lists!.uses(), [
    { node: "a", number: 2, fault: "itis down", probe: "a certificate" },
  ]);
  assert.equal((await messages.counts()).listsBehind, 1);
  assert.deepEqual(await lists!.numbers("a"), { newest: 3, used: 2 });
  const [node] = await nodes!.list();
  assert.deepEqual([node?.listNumber, node?.listFault], [2, "itis down"]);
  assert.equal(await nodes!.remove("a"), "removed");
  assert.deepEqual(await lists!.uses(), []);
});

testLists("no more is read than lists can have, whatever is there", async (parts) => {
  const { store: { lists }, postgres, database } = parts;
  await postgres.server.sql(
    `INSERT INTO secure_iot_gateway.broker_lists
     VALUES (9007199254740991, repeat('x', 17000000), repeat('y', 20000))`,
    database,
  );
  const { number, content, signatures } = (await lists!.newest())!;
  assert.deepEqual([number, content.length, signatures.length], [2 ** 53 - 1, 2 ** 24, 16_384]);
  await assert.rejects(
    postgres.server.sql(
      "INSERT INTO secure_iot_gateway.broker_lists VALUES (9007199254740992, '', '')",
      database,
    ),
  );
});
