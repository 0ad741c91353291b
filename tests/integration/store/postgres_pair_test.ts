/** A primary and the standby that has everything before it is committed. */

import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import type { CommitResult } from "../../../src/core/ports.ts";
import type { PostgresServer } from "../../../src/demo/sandbox/postgres_server.ts";
import type { Config } from "../../../src/config/config.ts";
import type { CheckOutcome } from "../../../src/doctor/check.ts";
import { SERVER_CHECKS } from "../../../src/doctor/server_checks.ts";
import { siteLayout } from "../../../src/site/layout.ts";
import { openStore } from "../../../src/store/open_store.ts";
import type { Store } from "../../../src/store/store.ts";
import type { PostgresPlace } from "../../../src/store/store_place.ts";
import { poll } from "../../../src/time/poll.ts";
import { freeze, HAS_POSTGRES, withPostgres } from "../../support/temporary_postgres.ts";
import { batch, candidate, messagesOf } from "../../unit/store/contract/sample_batch.ts";

/** A store on a pair. */
interface Pair {
  readonly primary: PostgresServer;
  readonly standby: PostgresServer;
  open(over?: Partial<PostgresPlace>): Promise<Store>;
}

async function withPair(work: (pair: Pair) => Promise<void>): Promise<void> {
  await withPostgres(async (postgres) => {
    const standby = await postgres.addStandby();
    const place = await postgres.place();
    const opened: Store[] = [];
    const open = async (over = {}) => {
      const store = await openStore({ ...place, ...over }, { author: "gateway", create: true });
      opened.push(store);
      return store;
    };
    try {
      await work({ primary: postgres.server, standby, open });
    } finally {
      for (const store of opened) await store.close();
    }
  });
}

function isAccepted({ committed }: CommitResult): boolean {
  return committed.every(({ kind }) => kind === "accepted");
}

/** True if it has not come to an end after a while. */
async function hangs(work: Promise<unknown>): Promise<boolean> {
  return await Promise.race([work.then(() => false), pause(700, true)]);
}

const one = () => batch({ examined: [candidate("d")] });

Deno.test({
  name: "nothing is taken in where no second server has it, unless the settings allow that",
  ignore: !HAS_POSTGRES,
  fn: async () =>
    await withPair(async ({ primary, open }) => {
      const store = await open();
      const messages = messagesOf(store);
      assert.ok(isAccepted(await messages.commit(one())));
      await primary.sql("ALTER SYSTEM SET synchronous_standby_names = ''");
      await primary.sql("SELECT pg_reload_conf()");
      await poll("the refusal", async () =>
        await messages.commit(one()).then(() =>
          false, ({ message }: Error) => {
          assert.match(message, /no second server has what is written/);
          return true;
        }));
      const local = messagesOf(await open({ node: "b", isReplicated: false }));
      assert.ok(isAccepted(await local.commit(one())));
    }),
});

Deno.test({
  name: "a commit waits for the second server, also if somebody ends the waiting at the first",
  ignore: !HAS_POSTGRES,
  fn: async () =>
    await withPair(async ({ primary, standby, open }) => {
      const messages = messagesOf(await open());
      await messages.commit(one());
      const thaw = await freeze(standby);
      const commit = messages.commit(one());
      assert.ok(await hangs(commit));
      const waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
      await primary.sql(`SELECT pg_cancel_backend(pid) FROM (${waiting}) AS w`);
      assert.ok(await hangs(commit), "the server has said that it did not wait");
      await primary.sql(`SELECT pg_terminate_backend(pid) FROM (${waiting}) AS w`);
      assert.ok(await hangs(commit));
      thaw();
      assert.ok(isAccepted(await commit));
    }),
});

Deno.test({
  name:
    "when the primary dies, commits go on at the standby that was promoted, and nothing is lost",
  ignore: !HAS_POSTGRES,
  fn: async () =>
    await withPair(async ({ primary, standby, open }) => {
      const store = await open({ isReplicated: false });
      const messages = messagesOf(store);
      let committed = 0;
      const work = (async () => {
        while (committed < 60) {
          const result = await messages.commit(one()).catch(() => undefined);
          if (result && isAccepted(result)) committed++;
          else await pause(50);
        }
      })();
      await poll("some commits", () => committed > 10);
      await primary.kill();
      await standby.promote();
      await work;
      assert.equal(await store.outbox.count(), committed);
    }),
});

Deno.test({
  name: "a primary that was frozen while another was promoted is left, and never used again",
  ignore: !HAS_POSTGRES,
  fn: async () =>
    await withPair(async ({ primary, standby, open }) => {
      const store = await open({ isReplicated: false });
      const messages = messagesOf(store);
      await messages.commit(one());
      const thaw = await freeze(primary);
      const commit = messages.commit(one());
      await standby.promote();
      const { committed: [accepted] } = await commit; // after the other servers were asked
      assert.ok(accepted?.kind === "accepted");
      thaw();
      const read = await poll("an answer", () =>
        messages.read([accepted.entry.sequence]).catch(() => undefined));
      assert.equal(read.length, 1, "a former primary is not believed that it is gone");
      assert.ok(isAccepted(await messages.commit(one())));
      assert.equal(
        await standby.sql("SELECT count(*) FROM secure_iot_gateway.outbox", "store_1"),
        "3",
      );
    }),
});

/** What the doctor finds of the servers, by the check's name. */
async function findings(store: Store, isReplicated: boolean): Promise<Map<string, CheckOutcome>> {
  const config = { node: { name: "a" }, store: { server: { isReplicated } } } as unknown as Config;
  const site = { config, store, nowMs: Date.now(), layout: siteLayout("/") };
  const found = new Map<string, CheckOutcome>();
  for (const { name, look } of SERVER_CHECKS) found.set(name, await look(site));
  return found;
}

Deno.test({
  name: "the doctor says what is wrong with the servers, and with the other gateways",
  ignore: !HAS_POSTGRES,
  fn: async () =>
    await withPair(async ({ primary, standby, open }) => {
      const store = await open();
      await messagesOf(store).commit(one());
      const other = messagesOf(await open({ node: "b" }));
      await other.nodes!.renewLease({ leaseMs: 1, wallMs: Date.now() });
      // The database is new: the standby comes to have it a moment after the primary.
      await poll("the standby to have the database", async () => {
        const servers = (await findings(store, true)).get("store's servers")!;
        return /is the primary, .* is a standby/.test(servers.observed);
      });
      const before = await findings(store, true);
      assert.match(before.get("store's servers")!.observed, /is the primary, .* is a standby/);
      assert.match(before.get("store's servers")!.observed, /fsync or full_page_writes is off$/);
      assert.equal(before.get("second server")!.status, "pass");
      await poll("the lease to be over", async () =>
        (await findings(store, true)).get("other gateways")!.status === "warn");
      await standby.kill();
      await poll("the standby to be missed", async () => {
        const second = (await findings(store, true)).get("second server")!;
        return second.status === "fail" &&
          /nothing is taken in until one is back/.test(second.observed);
      });
      await primary.sql("ALTER SYSTEM SET synchronous_standby_names = ''");
      await primary.sql("SELECT pg_reload_conf()");
      await poll("the setting", async () => {
        const second = (await findings(store, true)).get("second server")!;
        return second.status === "fail" && /: nothing is taken in$/.test(second.observed);
      });
      const local = (await findings(store, false)).get("second server")!;
      assert.match(local.observed, /store\.durability is "local"/);
      assert.match((await findings(store, true)).get("store's servers")!.observed, /not reachable/);
    }),
});
