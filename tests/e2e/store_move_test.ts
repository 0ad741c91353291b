/** A site that outgrows its file: everything goes to a server, and the gateway goes on. */

import assert from "node:assert/strict";
import { withSetting } from "../../src/config/toml_edit.ts";
import { openStore } from "../../src/store/open_store.ts";
import { type StorePlace, storePlaceIn } from "../../src/store/store_place.ts";
import { poll } from "../../src/time/poll.ts";
import { assertJsonForm } from "../support/json_form.ts";
import { type LiveSite, withLiveSite } from "../support/live_site.ts";
import { shell } from "../support/shell.ts";
import { HAS_POSTGRES, withPostgres } from "../support/temporary_postgres.ts";

const DEVICE_ID = "sensor_001";

/** What a store knows, in a form that is the same for every engine. */
async function contents(place: StorePlace) {
  const store = await openStore(place, { author: "command" });
  try {
    const { registry, audit, apiKeys, deadLetters, commands } = store;
    const proof = await audit.prove();
    return {
      devices: await registry.list(),
      certificates: await registry.certificates(DEVICE_ID),
      secretUses: await registry.secretUses(),
      audit: await Array.fromAsync(audit.since(0)),
      auditHead: proof.head,
      auditFaults: proof.faults,
      keys: await apiKeys.list(),
      deadLetters: await Array.fromAsync(deadLetters.list()),
      commands: await Array.fromAsync(commands.all({})),
    };
  } finally {
    await store.close();
  }
}

/** Has the site's settings name the server from now on. */
async function nameServer({ layout }: LiveSite, url: string): Promise<void> {
  const changes = [
    { section: "store", key: "engine", value: "postgres" },
    { section: "store", key: "url", value: url },
    { section: "store", key: "durability", value: "local" },
    { section: "node", key: "name", value: "a" },
  ];
  const toml = await Deno.readTextFile(layout.configuration);
  await Deno.writeTextFile(layout.configuration, changes.reduce(withSetting, toml));
}

Deno.test({
  name: "a store moves to a server whole: nothing is lost, forgotten or sent twice",
  ignore: !HAS_POSTGRES,
  fn: () =>
    withPostgres((postgres) =>
      withLiveSite(async (site) => {
        const { user, database, hosts: [host] } = await postgres.place();
        const move = () => shell(["store", "move", "--json", "--dir", site.layout.directory]);
        assert.match((await move()).stderr, /Set store\.engine = "postgres"/);

        const folder = await site.register(DEVICE_ID);
        const otherFolder = await site.register("sensor_002");
        const device = await site.connect(folder);
        const answered = await device.send("0");
        await device.response(answered.messageId);
        site.backend.answer = () => new Response("never", { status: 422 });
        await device.send('{"dead":1}');
        await site.logged("message_dead_lettered");
        site.backend.answer = () => new Response(null, { status: 503 });
        await device.send("1");
        await device.send("2");
        const stored = await site.api("/command/sensor_002", {
          ...{ method: "POST", body: '{"n":1}', headers: { ttl: "600" } },
        });
        assert.equal(stored.status, 202);
        await poll("all of them", async () => await site.metric("accepted_total") === 4);

        await nameServer(site, `postgres://${user}@${host!.host}:${host!.port}/${database}`);
        assert.match((await move()).stderr, /another program has it open: stop its gateway first/);
        await site.stopGateway();
        const before = await contents(storePlaceIn(site.config));
        const moved = await move();
        assert.equal(moved.code, 0, moved.stderr);
        const { rows, ...places } = JSON.parse(moved.stdout);
        assertJsonForm(places, "store move");
        assert.deepEqual([rows.devices, rows.outbox, rows.dead_letters], [2, 2, 1]);
        assert.equal(rows.replay_guard, 5, "four readings and a command");

        const { database: file } = site.config.store;
        assert.match((await move()).stderr, /There is no ".*gateway\.db" to be moved/);
        await Deno.rename(`${file}.moved`, file);
        assert.match((await move()).stderr, /there is something in it already/);
        assert.deepEqual(await contents(storePlaceIn(site.config)), before, "it is still whole");

        const next = await site.withSettings({ STORE_ENGINE: "postgres" });
        assert.deepEqual(await contents(storePlaceIn(next.config)), before);
        assert.deepEqual(before.auditFaults, []);
        const taken: string[] = [];
        site.backend.answer = ({ text }) => {
          taken.push(text);
          return new Response();
        };
        await next.startGateway();
        try {
          await device.publish(answered.message);
          assert.equal((await next.logged("message_rejected")).code, "replayed");
          await device.response((await device.send("3")).messageId);
          assert.deepEqual(taken, ["1", "2", "3"]);
          const other = await site.connect(otherFolder);
          await other.send("4");
          assert.deepEqual((await other.command()).payload, '{"n":1}');
          await other.close();
        } finally {
          await next.stopGateway();
        }
        assert.deepEqual((await contents(storePlaceIn(next.config))).auditFaults, []);
      }, { settings: { STORE_ENGINE: "sqlite" } })
    ),
});
