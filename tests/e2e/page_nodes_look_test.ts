/** The page where several gateways share a store. */

import { CHROMIUM, LookingBrowser } from "../support/browser.ts";
import { addApiKey, withSiteStore } from "../support/site_store.ts";
import { logIn } from "../support/page_scene.ts";
import { HAS_POSTGRES } from "../support/temporary_postgres.ts";
import { withTwoNodes } from "../support/two_nodes.ts";

const OPTIONS = { ignore: CHROMIUM === undefined || !HAS_POSTGRES };

Deno.test(
  "each node's page shows every node, what waits there, and lists that lag",
  OPTIONS,
  async () => {
    await withTwoNodes(async ({ a, b }) => {
      b.backend.answer = () =>
        new Response(null, { status: 503, headers: { "retry-after": "600" } });
      const device = await b.connect(await a.register("sensor_001"));
      await device.send("1");
      await b.received(1);
      const browser = await LookingBrowser.start(a);
      try {
        const page = await browser.visit();
        await logIn(page, await addApiKey(a, "viewer", { role: "view" }));
        const nodes = page.getByRole("table", { name: "Gateways that share the store" });
        const row = (name: string) => nodes.getByRole("row").filter({ hasText: name });
        await row("a (this one)").getByText("alive").waitFor();
        await row("b").filter({ hasText: "alive" }).getByRole("cell", { name: "1", exact: true })
          .waitFor();
        await row("b").getByText("the newest").waitFor();
        await withSiteStore(a, async ({ lists }) => {
          await lists!.publish({ number: 1, content: "{}", signatures: "{}" }, 0);
          await lists!.note({ node: "a", number: 1, fault: undefined, probe: undefined });
          await lists!.note({ node: "b", number: undefined, fault: "<b>no</b>", probe: undefined });
        });
        await row("b").getByText("1 behind").waitFor();
        await row("b").getByText("<b>no</b>").waitFor();
        await row("a (this one)").getByText("the newest").waitFor();
        await b.stopGateway();
        await row("b").getByText("not heard of").waitFor({ timeout: 20_000 });
      } finally {
        await browser.close();
      }
    });
  },
);
