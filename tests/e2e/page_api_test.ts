/** The page's API of a gateway that runs, as a browser uses it. */

import assert from "node:assert/strict";
import { poll } from "../../src/time/poll.ts";
import { type LiveSite, withLiveSite } from "../support/live_site.ts";
import { withLiveProcess } from "../support/live_process.ts";
import { type PageBrowser, withPageBrowser } from "../support/page_browser.ts";

type Row = Readonly<Record<string, unknown>>;

async function withBrowser(
  work: (browser: PageBrowser, site: LiveSite) => Promise<void>,
): Promise<void> {
  await withLiveSite((site) => withPageBrowser(site, (browser) => work(browser, site)));
}

Deno.test("what happens to a device is seen: its last message, a rejection with its mistake, the flow", async () => {
  await withBrowser(async (browser, site) => {
    const page = await browser.ask("/ui");
    assert.equal(page.status, 200);
    assert.match(page.headers.get("content-security-policy")!, /^default-src 'none'; /);
    assert.equal((await browser.ask("/ui/api/overview")).status, 401);
    await browser.logIn("ann", "view");
    const device = await site.device("sensor_001");
    const stop = new AbortController();
    const seen: { kind: string; atMs: number }[] = [];
    const following = (async () => {
      for await (const { kind } of browser.events("?limit=50", stop.signal)) {
        seen.push({ kind, atMs: performance.now() });
      }
    })().catch(() => {});
    const { messageId, message } = await device.send('{"t":22.0}');
    await device.response(messageId);
    await poll("the reading to be seen", () => seen.some(({ kind }) => kind === "delivered"));
    const publishedMs = performance.now();
    await device.publish(message.replace(/"timestamp":\d{10}/, `"timestamp":${Date.now()}`));
    await poll("the rejection to be seen", () => seen.some(({ kind }) => kind === "rejected"));
    const rejectedMs = seen.find(({ kind }) => kind === "rejected")!.atMs - publishedMs;
    assert.ok(rejectedMs < 5_000, `${rejectedMs} ms, on a busy machine too`);
    const overview = await browser.json("/ui/api/overview");
    assert.deepEqual([overview.ready, overview.broker.connected, overview.counts.devices], [
      ...[true, true, 1],
    ]);
    assert.match(overview.next_expiry.what, /\.crl$|sensor_001|\.crt$/);
    const flow = await browser.json("/ui/api/flow");
    const sum = (counts: number[]) => counts.reduce((total, one) => total + one, 0);
    assert.deepEqual([sum(flow.accepted), sum(flow.delivered), sum(flow.rejected.malformed)], [
      ...[1, 1, 1],
    ]);
    const details = await browser.json("/ui/api/devices/sensor_001");
    assert.ok(Math.abs(details.last_message - Date.now() / 1000) < 60);
    assert.equal(details.certificates.length, 1);
    const [{ id, code }] = details.rejections;
    assert.equal(code, "malformed");
    const explained = await browser.json(`/ui/api/devices/sensor_001/rejections/${id}`);
    assert.match(explained.likely.join(), /millisecond/i);
    stop.abort();
    await following;
  });
});

Deno.test("a dead letter is looked at, retried and delivered; who did it is in the audit", async () => {
  await withBrowser(async (browser, site) => {
    await browser.logIn("bob", "operate");
    const device = await site.device("sensor_001");
    site.backend.answer = () => new Response("no such <sensor>", { status: 422 });
    await device.send('{"t":22.0}');
    const dead = async () => (await browser.json("/ui/api/dead")).dead_letters as Row[];
    await poll("the dead letter", async () => (await dead()).length === 1);
    const [{ sequence } = { sequence: 0 }] = await dead();
    const { payload, answer, status } = await browser.json(`/ui/api/dead/${sequence}`);
    assert.deepEqual([payload, answer.body, status], ['{"t":22.0}', "no such <sensor>", 422]);
    site.backend.answer = () => new Response("ok");
    const retry = { method: "POST", body: {} };
    assert.deepEqual(await browser.json(`/ui/api/dead/${sequence}/retry`, retry), { requeued: 1 });
    await poll("it to be delivered", async () => await site.metric("delivered_total") === 1);
    assert.deepEqual(await dead(), []);
    await site.logged("operator_acted");
    await poll(
      "the audit",
      () =>
        site.withStore((store) =>
          store.prepare(
            "SELECT 1 FROM audit WHERE event = 'operator_acted' AND detail LIKE 'bob %'",
          )
            .get()
        ) !== undefined,
    );
  });
});

Deno.test("what holds up a device is seen and dropped, and a command is cancelled", async () => {
  await withBrowser(async (browser, site) => {
    await browser.logIn("bob", "operate");
    const device = await site.device("sensor_001");
    const ill = '{"ill":1}';
    site.backend.answer = ({ text }) => new Response("", { status: text === ill ? 500 : 200 });
    await device.send(ill);
    const well = await device.send('{"ill":0}');
    const entries = async () => (await browser.json("/ui/api/outbox")).entries as Row[];
    await poll("it to be tried", async () => Number((await entries())[0]?.["tries"]) > 1);
    const [{ sequence, waiting, reason } = {}] = await entries();
    assert.deepEqual([waiting, reason], [2, "status 500"]);
    const post = { method: "POST", body: {} };
    const dropped = await browser.json(`/ui/api/outbox/${sequence}/drop`, post);
    assert.deepEqual(dropped, { dead_letter: sequence });
    assert.equal((await device.response(well.messageId)).status, "200", "the lane goes on");
    assert.deepEqual(await entries(), []);
    const command = { method: "POST", body: "1", headers: { ttl: "600" } };
    await site.register("sensor_002");
    const { message_id: id } = await (await site.api("/command/sensor_002", command)).json();
    const { commands } = await browser.json("/ui/api/commands?state=waiting");
    assert.deepEqual(commands.map((one: Row) => [one["message_id"], one["key"]]), [[
      id,
      "backend",
    ]]);
    const cancel = await browser.json(`/ui/api/commands/sensor_002/${id}/cancel`, post);
    assert.equal(cancel.state, "cancelled");
    assert.equal((await browser.ask(`/ui/api/commands/sensor_002/${id}/cancel`, post)).status, 409);
  });
});

Deno.test("a session and its events end with the key, at once", async () => {
  await withBrowser(async (browser, site) => {
    await browser.logIn("ann", "view");
    let isOver = false;
    const following = (async () => {
      for await (const _ of browser.events("", new AbortController().signal));
      isOver = true;
    })();
    const device = await site.device("sensor_001");
    site.withStore((store) => store.prepare("DELETE FROM api_keys WHERE name = 'ann'").run());
    assert.equal((await browser.ask("/ui/api/session")).status, 401);
    await device.send("1");
    await poll("the events to end", () => isOver);
    await following;
  });
});

Deno.test("a change works within what the worker may do", async () => {
  await withLiveProcess((site) =>
    withPageBrowser(site, async (browser) => {
      await browser.logIn("bob", "operate");
      site.backend.answer = () => new Response("", { status: 422 });
      const device = await site.device("sensor_001");
      const { message } = await device.send("1");
      await device.publish(message);
      const dead = async () => (await browser.json("/ui/api/dead")).dead_letters as Row[];
      await poll("the dead letter", async () => (await dead()).length === 1);
      const [{ sequence } = { sequence: 0 }] = await dead();
      const drop = { method: "POST", body: {} };
      assert.deepEqual(await browser.json(`/ui/api/dead/${sequence}/drop`, drop), { dropped: 1 });
      const rejections = async () =>
        (await browser.json("/ui/api/devices/sensor_001")).rejections as Row[];
      await poll("the replay", async () => (await rejections()).length === 1);
      const path = `/ui/api/devices/sensor_001/rejections/${(await rejections())[0]!["id"]}`;
      assert.match((await browser.json(path)).likely.join(), /accepted this message_id before/);
      assert.equal((await browser.json("/ui/api/overview")).counts.dead_letters, 0);
    })
  );
});
