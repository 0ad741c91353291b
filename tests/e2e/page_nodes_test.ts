/** The page of one gateway shows and changes what another one has. */

import assert from "node:assert/strict";
import { poll } from "../../src/time/poll.ts";
import { withPageBrowser } from "../support/page_browser.ts";
import { HAS_POSTGRES } from "../support/temporary_postgres.ts";
import { withTwoNodes } from "../support/two_nodes.ts";

type Row = Readonly<Record<string, unknown>>;

Deno.test({
  name: "one gateway shows all of them, what the others hear, and retries what died elsewhere",
  ignore: !HAS_POSTGRES,
  fn: () =>
    withTwoNodes(({ a, b }) =>
      withPageBrowser(a, async (browser) => {
        await browser.logIn("bob", "operate");
        const folder = await a.register("sensor_001");
        const atB = await b.connect(folder);
        a.backend.answer = () => new Response("", { status: 422 });
        await atB.send("1");
        const overview = async () => await browser.json("/ui/api/overview");
        await poll("both", async () => {
          const { nodes: all } = await overview();
          return all.filter(({ alive }: Row) => alive).length === 2;
        });
        const { node, store, nodes: all } = await overview();
        assert.deepEqual([node, store.engine], ["a", "postgres"]);
        assert.deepEqual(all.map((one: Row) => one["node"]), ["a", "b"]);
        const dead = async () => (await browser.json("/ui/api/dead")).dead_letters as Row[];
        await poll("the dead letter", async () => (await dead()).length === 1);
        await poll("the last message", async () => {
          const { devices: [device] } = await browser.json("/ui/api/devices");
          return device.last_message !== null;
        }, { timeoutMs: 20_000 });
        a.backend.answer = () => new Response("ok");
        const [{ sequence } = {}] = await dead();
        const retry = { method: "POST", body: {} };
        const done = await browser.json(`/ui/api/dead/${sequence}/retry`, retry);
        assert.deepEqual(done, { requeued: 1 });
        await poll("it to be delivered", async () => await b.metric("delivered_total") === 1);
      })
    ),
});
