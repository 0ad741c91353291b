import assert from "node:assert/strict";
import { poll } from "../../src/time/poll.ts";
import { type LiveSite, withLiveSite } from "../support/live_site.ts";
import { shell } from "../support/shell.ts";

async function run(site: LiveSite, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await shell([...args, "--dir", site.layout.directory]);
  assert.equal(code, 0, stderr);
  return stdout;
}

Deno.test("a reading that holds up its device is seen and dropped beside a running gateway", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    site.backend.answer = ({ text }) =>
      text === '{"ill":1}'
        ? new Response("\u001b[2Jno", { status: 500, headers: { "retry-after": "3600" } })
        : new Response("ok");
    const ill = await device.send('{"ill":1}');
    const well = await device.send('{"ill":0}');
    await poll("its first try", () => site.backend.received.length === 1);
    await poll("both to wait", async () => await site.metric("pending") === 2);

    const waiting = JSON.parse(await run(site, "outbox", "list", "--json"));
    assert.deepEqual(
      waiting.map((one: { message_id: string }) => one.message_id),
      [ill.messageId, well.messageId],
    );
    const { sequence } = waiting[0];
    const table = (await run(site, "outbox", "list", "--device", "sensor_001")).split("\n");
    assert.ok(table.every((line) => line.length <= 80));
    assert.match(table[1]!, / s {2}- {12}sensor_001$/);
    assert.match(await run(site, "outbox", "show", `${sequence}`), /^payload: \{"ill":1\}$/m);

    await run(site, "outbox", "drop", `${sequence}`);
    assert.equal((await device.response(well.messageId)).status, "200", "the lane goes on");
    await poll("nothing to wait", async () => await site.metric("pending") === 0);
    assert.equal(site.backend.received.length, 2, "what was dropped was not sent again");
    assert.match(await run(site, "dead", "show", `${sequence}`), /^reason: dropped/m);
    assert.match(await run(site, "audit", "export"), /outbox_dropped/);
    const again = await shell(["outbox", "drop", `${sequence}`, "--dir", site.layout.directory]);
    assert.equal(again.code, 1);
    assert.match(again.stderr, /^error: There is no entry/);
  });
});

Deno.test("what the backend said of a dead letter is kept, and shown escaped", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    site.backend.answer = () =>
      new Response("no\u001b[2J such field", {
        status: 422,
        headers: { "content-type": "text/x-why", "location": "/why" },
      });
    await device.response((await device.send("1")).messageId);
    await poll("it to die", async () => await site.metric("dead_letters") === 1);
    const [{ sequence }] = JSON.parse(await run(site, "dead", "list", "--json"));
    const shown = await run(site, "dead", "show", `${sequence}`);
    assert.match(shown, /^answer_content_type: text\/x-why$/m);
    assert.match(shown, /^answer_location: \/why$/m);
    assert.match(shown, /^answer, escaped for the terminal: no\\u001b\[2J such field$/m);
    const json = JSON.parse(await run(site, "dead", "show", `${sequence}`, "--json"));
    assert.equal(json.answer, "no\u001b[2J such field");
    assert.ok((await run(site, "dead", "list")).split("\n").every((line) => line.length <= 80));
  });
});
