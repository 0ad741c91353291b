/** A key for one device, used for all that it is not for. */

import assert from "node:assert/strict";
import { apiKeyDigest } from "../../src/config/credentials.ts";
import { ApiKeys } from "../../src/store/sqlite/api_keys.ts";
import { poll } from "../../src/time/poll.ts";
import { accessTo, textOf } from "../support/api_request.ts";
import { type LiveSite, withLiveSite } from "../support/live_site.ts";
import { RawClient } from "../support/raw_client.ts";

const KEY = "the-key-of-another-company";
const KEY_NAME = "partner";
/** What it is for, and what it is not for. */
const OWN = "own_1";
const OTHER = "other.1";
const NO_DEVICE = "nobody";

function addKey(site: LiveSite): void {
  const key = { name: KEY_NAME, createdAt: 1, role: "commands" as const, deviceIds: [OWN] };
  site.withStore((store) => new ApiKeys(store).add(apiKeyDigest(KEY), key));
}

const AS_PARTNER = { authorization: `Bearer ${KEY}` };

/** Status and body of an answer to that key. */
async function answerTo(
  site: LiveSite,
  path: string,
  { headers, ...init }: RequestInit & { headers?: Record<string, string> } = {},
): Promise<string> {
  const response = await site.api(path, { ...init, headers: { ...AS_PARTNER, ...headers } });
  return `${response.status} ${await response.text()}`;
}

async function ask(site: LiveSite, deviceId: string, headers: Record<string, string> = {}) {
  const init = { method: "POST", body: '{"open":"door"}', headers };
  return await site.api(`/command/${deviceId}`, init);
}

Deno.test("a key for one device sees, asks and ends nothing of another, not even whether it exists", async () => {
  await withLiveSite(async (site) => {
    for (const id of [OWN, OTHER]) await site.register(id);
    addKey(site);
    const [own, other] = await Promise.all(
      [OWN, OTHER].map(async (id) => (await (await ask(site, id, { ttl: "600" })).json())),
    );
    const tries: readonly [(device: string) => string, RequestInit, status: number][] = [
      [(device) => `/command/${device}/${other.message_id}`, {}, 404],
      [(device) => `/command/${device}/${other.message_id}`, { method: "DELETE" }, 404],
      [(device) => `/command/${device}`, {}, 404],
      [(device) => `/command/${device}?after=${other.message_id}`, {}, 404],
      [(device) => `/command/${device}?after=${own.message_id}&state=waiting`, {}, 404],
      [(device) => `/command/${device}`, { method: "POST", body: "1" }, 404],
      [(device) => `/ui/api/events?device=${device}`, {}, 404],
    ];
    for (const [pathOf, init, status] of tries) {
      const answer = await answerTo(site, pathOf(OTHER), init as Record<string, string>);
      assert.equal(answer.slice(0, 3), String(status), pathOf(OTHER));
      assert.equal(answer, await answerTo(site, pathOf(NO_DEVICE), init as Record<string, string>));
    }
    for (const spelling of [other.message_id, other.message_id.toUpperCase()]) {
      const own = `/command/${OWN}/${spelling}`;
      assert.match(await answerTo(site, own), /^404/);
      assert.match(await answerTo(site, own, { method: "DELETE" }), /^404/);
      assert.match(await answerTo(site, `/command/${OWN}?after=${spelling}`), /^400/);
    }
    const list = JSON.parse((await answerTo(site, `/command/${OWN}`)).slice(4));
    assert.deepEqual(
      list.commands.map((command: { message_id: string }) => command.message_id),
      [own.message_id],
    );
    const { state } = await (await site.api(`/command/${OTHER}/${other.message_id}`)).json();
    assert.equal(state, "waiting");
  });
});

Deno.test("an Idempotency-Key is of its API key: the same one of another is another", async () => {
  await withLiveSite(async (site) => {
    await site.register(OWN);
    addKey(site);
    const asked = { "idempotency-key": "k1", ttl: "600" };
    const first = await ask(site, OWN, asked);
    const others = await ask(site, OWN, { ...asked, ...AS_PARTNER });
    assert.deepEqual([first.status, others.status], [202, 202]);
    assert.equal(others.headers.get("idempotent-replayed"), null);
    const ids = await Promise.all(
      [first, others].map(async (one) => (await one.json()).message_id),
    );
    assert.notEqual(ids[0], ids[1]);
    const again = await ask(site, OWN, { ...asked, ...AS_PARTNER });
    assert.equal(again.headers.get("idempotent-replayed"), "true");
    assert.equal((await again.json()).message_id, ids[1]);
  });
});

Deno.test("what happens shows a key its own devices only, whatever id it says it has seen", async () => {
  await withLiveSite(async (site) => {
    const [own, other] = [await site.device(OWN), await site.device(OTHER)];
    addKey(site);
    const access = { ...accessTo(site), key: KEY };
    const stream = { method: "GET", path: "/ui/api/events?with=payloads,rejected", type: "" };
    const first = await RawClient.open(access);
    await first.write(textOf(stream, access.key));
    await poll("the stream", () => first.received.includes("retry:"));
    await other.response((await other.send('{"secret":1}')).messageId);
    await other.publish("hello");
    await own.response((await own.send('{"own":1}')).messageId);
    await poll("the reading", () => first.received.includes('{\\"own\\":1}'));
    const run = /id: (\S+)-\d+/.exec(first.received)![1];
    await first.close();
    for (const id of [`${run}-1`, `${run}-0`, "-1", `${run}-1' OR 1`]) {
      const again = await RawClient.open(access);
      await again.write(textOf({ ...stream, more: `Last-Event-ID: ${id}\r\n` }, access.key));
      await poll("the stream", () => again.received.includes("retry:"));
      await own.response((await own.send('{"again":1}')).messageId);
      await poll("the reading", () => again.received.includes('{\\"again\\":1}'));
      assert.doesNotMatch(again.received, /secret|other\.1/);
      await again.close();
    }
    assert.doesNotMatch(first.received, /secret|other\.1/);
  });
});

Deno.test("what happens, and an answer that is held, show nothing once the key is removed", async () => {
  await withLiveSite(async (site) => {
    const own = await site.device(OWN);
    addKey(site);
    const { message_id: id } = await (await ask(site, OWN, { ttl: "600" })).json();
    const etag = (await site.api(`/command/${OWN}/${id}`)).headers.get("etag")!;
    const access = { ...accessTo(site), key: KEY };
    const stream = await RawClient.open(access);
    const path = "/ui/api/events?with=payloads";
    await stream.write(textOf({ method: "GET", path, type: "" }, access.key));
    const held = await RawClient.open(access);
    const more = `If-None-Match: ${etag}\r\nPrefer: wait=60\r\n`;
    const request = { method: "GET", path: `/command/${OWN}/${id}`, type: "", more };
    await held.write(textOf(request, access.key));
    await poll("the stream", () => stream.received.includes("retry:"));
    await own.response((await own.send('{"before":1}')).messageId);
    await poll("the reading", () => stream.received.includes("before"));
    site.withStore((store) => new ApiKeys(store).remove(KEY_NAME));
    await own.response((await own.send('{"after":1}')).messageId);
    await own.acknowledge(id, { state: "done" });
    assert.equal(await held.status(), 401);
    await poll("its end", () => stream.received.endsWith("0\r\n\r\n") || stream.ended);
    assert.doesNotMatch(stream.received, /after/);
    for (const client of [stream, held]) await client.close();
  });
});
