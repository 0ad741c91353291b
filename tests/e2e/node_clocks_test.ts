/** Two gateways on one store, of which one has a clock that is wrong. */

import assert from "node:assert/strict";
import { poll } from "../../src/time/poll.ts";
import type { LiveSite } from "../support/live_site.ts";
import { HAS_POSTGRES } from "../support/temporary_postgres.ts";
import { withTwoNodes } from "../support/two_nodes.ts";

const DEVICE_ID = "sensor_001";

async function rejection(site: LiveSite, messageId: string): Promise<string> {
  const { code } = await site.logged(
    "message_rejected",
    (record) => record["message_id"] === messageId,
  );
  return String(code);
}

for (const offSeconds of [-400, 400]) {
  Deno.test({
    name: `a clock that is ${offSeconds} s off at one gateway lets nothing in twice`,
    ignore: !HAS_POSTGRES,
    fn: () =>
      withTwoNodes(async ({ a, b }) => {
        const folder = await a.register(DEVICE_ID);
        const [atA, atB] = [await a.connect(folder), await b.connect(folder)];
        b.clockOffsetMs = 1000 * offSeconds;
        await poll("b to know it", async () => (await b.api("/readyz")).status === 503);
        assert.match(await (await b.api("/readyz")).text(), /400 s (ahead of|behind) the store's/);
        assert.equal((await a.api("/readyz")).status, 200);

        const first = await atA.send("1");
        await atA.response(first.messageId);
        await atB.publish(first.message);
        assert.equal(await rejection(b, first.messageId), "timestamp_out_of_range");
        const timestamp = Math.floor(Date.now() / 1000) + offSeconds;
        const second = await atB.sign("2", { timestamp });
        await atB.publish(second.message);
        await atB.response(second.messageId);
        await atA.publish(second.message);
        assert.equal(await rejection(a, second.messageId), "timestamp_out_of_range");

        b.clockOffsetMs = 0;
        await poll("b to be ready again", async () => (await b.api("/readyz")).status === 200);
        b.log.length = 0;
        await atB.publish(first.message);
        assert.equal(await rejection(b, first.messageId), "replayed");
        a.clockOffsetMs = 1000 * offSeconds;
        a.log.length = 0;
        await atA.publish(second.message);
        // Once no gateway's clock could take it, its id may be forgotten: its time is refused for ever.
        const codes = offSeconds < 0 ? ["replayed", "timestamp_out_of_range"] : ["replayed"];
        assert.ok(codes.includes(await rejection(a, second.messageId)));
        assert.deepEqual(a.backend.received.map(({ text }) => text), ["1", "2"]);
      }),
  });
}
