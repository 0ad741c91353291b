/** What other programs put into the tables, and what a gateway that runs makes of it. */

import assert from "node:assert/strict";
import { withLiveSite } from "../support/live_site.ts";
import { HAS_POSTGRES } from "../support/temporary_postgres.ts";
import { withTwoNodes } from "../support/two_nodes.ts";

Deno.test({
  name: "mail as no gateway writes it is refused, and what comes behind it is published",
  ignore: !HAS_POSTGRES,
  fn: () =>
    withTwoNodes(async ({ a, postgres }) => {
      const device = await a.device("sensor_001");
      const { database } = a.config.store.server!;
      const mail = (topic: string, properties: string) =>
        postgres.server.sql(
          `INSERT INTO secure_iot_gateway.mail
             (node, sender, device_id, topic, body, properties, is_awaited, expires_at)
           VALUES ('a', 'b', 'sensor_001', '${topic}', 'x', '${properties}', false,
             now() + interval '1 min');
           SELECT pg_notify('secure_iot_gateway', '{"mail":"a"}')`,
          database,
        );
      const odd = ['{"userProperties":{"a":1}}', '{"correlationData":"%%%"}', "null"];
      for (const properties of odd) await mail("device/sensor_001/response", properties);
      await mail("device/#", "{}");
      const id = crypto.randomUUID();
      const data = new TextEncoder().encode(id).toBase64();
      await mail("device/sensor_001/response", `{"correlationData":"${data}"}`);
      assert.equal((await device.response(id)).text, "x");
      assert.equal(a.log.filter(({ event }) => event === "mail_refused").length, 4);
      assert.equal(a.log.some(({ event }) => event === "broker_disconnected"), false);
    }),
});

Deno.test({
  name: "of two gateways that work as one node, the first waits until the other is gone",
  ignore: !HAS_POSTGRES,
  fn: () =>
    withTwoNodes(async ({ a, b }) => {
      await a.device("sensor_001");
      const twin = await b.withSettings({ NODE_NAME: "a" });
      await b.stopGateway();
      await twin.startGateway();
      try {
        const told = ({ message }: { message: string }) => /works as node "a"/.test(message);
        await a.logged("store_failed", told);
        assert.match(await (await a.api("/readyz")).text(), /another gateway works as node/);
        const other = await twin.connect(`${a.layout.directory}/devices/sensor_001`);
        for (let i = 0; i < 5; i++) await other.response((await other.send(`${i}`)).messageId);
        assert.equal(twin.log.some(({ event }) => event === "store_failed"), false);
        assert.equal(a.log.some(({ event }) => event === "store_replaced"), false);
        await twin.stopGateway();
        await a.logged("store_replaced");
      } finally {
        await twin.close();
      }
    }),
});

Deno.test("an entry of no device ends no connection to the broker", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    await site.stopGateway();
    site.withStore((store) =>
      store.prepare(
        `INSERT INTO outbox (device_id, message_id, timestamp, accepted_ms, payload)
         VALUES ('a/#', 'no id', 'no time', 0, x'31')`,
      ).run()
    );
    await site.startGateway();
    const { message } = await site.logged("response_refused");
    assert.match(message, /nothing can be published to its topic/);
    await device.response((await device.send("1")).messageId);
    assert.equal(site.log.some(({ event }) => event === "broker_unreachable"), false);
  });
});
