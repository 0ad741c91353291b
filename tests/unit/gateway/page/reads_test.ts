/** What the page's API shows, page by page, and to whom. */

import assert from "node:assert/strict";
import { reject } from "../../../../src/core/rejection.ts";
import { DAY_SECONDS } from "../../../../src/core/time.ts";
import type { LaneState } from "../../../../src/gateway/pipeline/lanes.ts";
import { NOW } from "../../../support/judge.ts";
import { type PageApi, withPageApi } from "../../../support/page_api.ts";
import { ACCEPTED } from "../../../support/sample_command.ts";
import { accept } from "../../store/contract/commands_contract.ts";
import { batch, candidate, deadLetter, messagesOf } from "../../store/contract/sample_batch.ts";

/** A dictionary of Python, printed. */
const TEXT = "{'device_id': 'a', 'payload': {}}";

type Row = Readonly<Record<string, unknown>>;

function laneOf(deviceId: string, over: Partial<LaneState> = {}): LaneState {
  const lane = {
    deviceId,
    waiting: 1,
    tries: 0,
    stuck: false,
    failure: undefined,
    front: undefined,
  };
  return { ...lane, sequence: 1, ...over };
}

/** All pages of a list, one item each; each cursor is used once. */
async function pages(api: PageApi, path: string, name: string, key: string): Promise<Row[]> {
  const all: Row[] = [];
  let cursor: unknown = "";
  do {
    const more = `${path.includes("?") ? "&" : "?"}limit=1&cursor=${cursor}`;
    const page = await api.json(path + more, { key });
    const items = page[name] as Row[];
    assert.ok(items.length <= 1);
    all.push(...items);
    cursor = page["next"];
  } while (cursor !== null);
  return all;
}

async function idsOf(api: PageApi, query: string, key: string): Promise<unknown[]> {
  const { devices } = await api.json(`/ui/api/devices${query}`, { key });
  return (devices as Row[]).map(({ device_id }) => device_id);
}

Deno.test("devices are filtered, sorted, and come page by page, without one twice", async () => {
  await withPageApi(["a", "B", "c", "d"], async (api) => {
    const key = await api.addKey("ann", "view");
    await api.store.registry.revoke("d", { revokedAt: 1, reason: "lost" });
    await api.store.registry.addCertificate("c", { serial: "1", notBefore: 1, notAfter: NOW + 5 });
    await api.store.registry.recordUses([{ deviceId: "a", generation: 1, lastUsed: NOW - 10 }]);
    api.lanes.push(laneOf("B", { waiting: 3 }), laneOf("a", { stuck: true, tries: 2 }));
    const refused = candidate("c", { verified: false });
    await messagesOf(api.store).commit(batch({ examined: [refused] }));
    const { devices, total } = await api.json("/ui/api/devices?q=A", { key });
    assert.equal(total, 1);
    assert.deepEqual(devices, [{
      ...{ device_id: "a", status: "active", last_message: NOW - 10, waiting: 1, stuck: true },
      ...{ rejected: 0, last_rejection: null, expires: null },
    }]);
    const rows: readonly [string, readonly string[]][] = [
      ["", ["B", "a", "c", "d"]],
      ["?order=desc", ["d", "c", "a", "B"]],
      ["?filter=silent", ["B", "c"]],
      ["?filter=silent&silent_after=10", ["B", "a", "c"]],
      ["?filter=backlog&sort=waiting&order=desc", ["B", "a"]],
      ["?filter=rejected", ["c"]],
      ["?filter=expiring", ["c"]],
      ["?filter=revoked", ["d"]],
      ["?sort=last_message", ["a", "B", "c", "d"]],
      ["?sort=last_message&order=desc", ["a", "B", "c", "d"]],
      ["?sort=expires&limit=1", ["c"]],
      ["?sort=waiting", ["c", "d", "a", "B"]],
    ];
    for (const [query, ids] of rows) assert.deepEqual(await idsOf(api, query, key), ids, query);
    for (const query of ["", "?sort=last_message", "?sort=waiting&order=desc", "?sort=expires"]) {
      const whole = await idsOf(api, query, key);
      const paged = await pages(api, `/ui/api/devices${query}`, "devices", key);
      assert.deepEqual(paged.map(({ device_id }) => device_id), whole, query);
    }
  });
});

Deno.test("a device's page has its secrets' uses, certificates and last rejections, and no secret", async () => {
  await withPageApi(["a"], async (api) => {
    const key = await api.addKey("ann", "view");
    await api.store.registry.rotateSecret("a", "another", { until: NOW + 60 });
    await api.store.registry.addCertificate("a", { serial: "0a", notBefore: 1, notAfter: NOW });
    const bytes = new TextEncoder().encode(TEXT);
    api.memory.take({
      ...{ kind: "message_rejected", identity: "a", messageId: undefined, bytes },
      rejection: reject("malformed", "no comma"),
    });
    const device = await api.json("/ui/api/devices/a", { key });
    assert.deepEqual(device["certificates"], [{ serial: "0a", not_before: 1, not_after: NOW }]);
    assert.deepEqual(device["secrets"], [
      { generation: 2, last_used: null, until: null },
      { generation: 1, last_used: null, until: NOW + 60 },
    ]);
    const [rejection] = device["rejections"] as Row[];
    assert.deepEqual(rejection, {
      ...{ id: "1", at: NOW, code: "malformed", message_id: null, count: 1, has_message: true },
      reason: "Rejected message from a: Malformed message: no comma",
    });
    const explained = await api.json("/ui/api/devices/a/rejections/1", { key });
    assert.equal(explained["message"], TEXT);
    assert.ok((explained["likely"] as string[]).length > 0);
    assert.equal((await api.ask("/ui/api/devices/a/rejections/1", { key })).status, 429);
    api.clock.ms += 1_000;
    assert.equal((await api.ask("/ui/api/devices/a/rejections/2", { key })).status, 404);
    assert.ok(!/of a|another/.test(JSON.stringify([device, explained])), "no secret");
  });
});

Deno.test("what is refused, died, is asked, waits and ends is listed page by page", async () => {
  await withPageApi(["a", "b"], async (api) => {
    const key = await api.addKey("ann", "view");
    const messages = messagesOf(api.store);
    const refused = ["a", "b"].map((id) => candidate(id, { verified: false }));
    await messages.commit(batch({ examined: refused }));
    const ids = ["c", "d"].map((one) => `${one}60f9500-f30c-42e5-b827-557766551111`);
    const commandChanges = ids.map((messageId) =>
      accept({ ...ACCEPTED, messageId, deviceId: "a" })
    );
    await messages.commit(batch({ commandChanges }));
    const first = await deadLetter(messages, "a", { atMs: 1, text: '"\\u003cb>\u202e"' });
    const second = await deadLetter(messages, "b", { atMs: 2_000 });
    api.lanes.push(
      laneOf("a", { tries: 1, sequence: 7, failure: "status 500" }),
      laneOf("b", { tries: 9, sequence: 9, stuck: true }),
      laneOf("c", { tries: 0, sequence: 1 }),
    );
    api.fileEnds.set("/site/broker.crt", NOW + 10);
    await api.store.registry.addCertificate("b", { serial: "1", notBefore: 1, notAfter: NOW + 5 });
    const listed = async (path: string, name: string, member: string) =>
      (await pages(api, path, name, key)).map((row) => row[member]);
    assert.deepEqual(await listed("/ui/api/rejections", "rejections", "device_id"), ["a", "b"]);
    assert.deepEqual(await listed("/ui/api/dead", "dead_letters", "sequence"), [second, first]);
    assert.deepEqual(await listed("/ui/api/dead?device=a", "dead_letters", "sequence"), [first]);
    assert.deepEqual(await listed("/ui/api/commands", "commands", "message_id"), ids.toReversed());
    assert.deepEqual(await listed("/ui/api/commands?state=done", "commands", "message_id"), []);
    assert.deepEqual(await listed("/ui/api/outbox", "entries", "sequence"), [9, 7]);
    assert.deepEqual(await listed("/ui/api/expiries", "expiries", "what"), [
      "b",
      "/site/broker.crt",
    ]);
    const { payload, reason, status, died } = await api.json(`/ui/api/dead/${first}`, { key });
    assert.deepEqual([payload, reason, status, died], ['"\\u003cb>\u202e"', "refused", 422, 0]);
    const [command] = (await api.json("/ui/api/commands?limit=1", { key }))["commands"] as Row[];
    assert.equal(command!["key"], ACCEPTED.keyName);
    const overview = await api.json("/ui/api/overview", { key });
    assert.deepEqual(overview["counts"], {
      ...{ devices: 2, waiting: 0, dead_letters: 2, commands_waiting: 2 },
    });
    assert.deepEqual(overview["next_expiry"], { kind: "device", what: "b", expires: NOW + 5 });
  });
});

Deno.test("a key for one device learns nothing of another, whether there is one or not", async () => {
  await withPageApi(["own", "other"], async (api) => {
    const key = await api.addKey("partner", "operate", ["own"]);
    const messages = messagesOf(api.store);
    await messages.commit(batch({
      examined: ["own", "other"].map((id) => candidate(id, { verified: false })),
    }));
    const own = await deadLetter(messages, "own");
    const other = await deadLetter(messages, "other");
    const commandChanges = ["own", "other"].map((deviceId, i) =>
      accept({ ...ACCEPTED, deviceId, messageId: `${i}60f9500-f30c-42e5-b827-557766551111` })
    );
    await messages.commit(batch({ commandChanges }));
    for (const id of ["own", "other"]) {
      await api.store.registry.addCertificate(id, { serial: id, notBefore: 1, notAfter: NOW });
      api.lanes.push(laneOf(id, { tries: 1, sequence: id.length }));
      api.memory.take({
        ...{ kind: "message_rejected", identity: id, messageId: undefined },
        ...{ rejection: reject("replayed"), bytes: new Uint8Array([1]) },
      });
    }
    api.fileEnds.set("/site/other.crt", NOW);
    const lists = ["devices", "rejections", "dead", "commands", "outbox", "expiries", "overview"];
    for (const list of lists) {
      const text = JSON.stringify(await api.json(`/ui/api/${list}`, { key }));
      assert.ok(!text.includes("other"), `${list}: ${text}`);
      if (list !== "overview") assert.ok(text.includes('"own"'), `${list}: ${text}`);
    }
    for (
      const [method, of] of [
        ["GET", (id: string) => `/ui/api/devices/${id}`],
        ["GET", (id: string) => `/ui/api/devices/${id}/rejections/2`],
        ["GET", (id: string) => `/ui/api/dead?device=${id}`],
        ["GET", (id: string) => `/ui/api/commands?device=${id}`],
        ["GET", (id: string) => `/ui/api/rejections?device=${id}`],
        ["GET", (id: string) => `/ui/api/outbox?device=${id}`],
        ["GET", (id: string) => `/ui/api/events?device=${id}`],
        ["GET", (id: string) => `/ui/api/dead/${id === "other" ? other : 99}`],
        ["POST", (id: string) => `/ui/api/dead/${id === "other" ? other : 99}/drop`],
        ["POST", (id: string) => `/ui/api/outbox/${id === "other" ? other : 99}/drop`],
      ] as const
    ) {
      const answer = async (id: string) => {
        const body = method === "POST" ? {} : undefined;
        const response = await api.ask(of(id), { key, method, body });
        return `${response.status} ${await response.text()}`;
      };
      assert.equal(await answer("other"), await answer("nobody"), of("other"));
    }
    const all = { key, method: "POST", body: { all: true } };
    assert.deepEqual(await api.json("/ui/api/dead/drop", all), { dropped: 1, more: false });
    assert.equal(await api.store.deadLetters.find(own), undefined);
    assert.ok(await api.store.deadLetters.find(other));
    const one = await api.ask("/ui/api/dead/drop", { ...all, body: { device: "other" } });
    const none = await api.ask("/ui/api/dead/drop", { ...all, body: { device: "nobody" } });
    assert.deepEqual([one.status, await one.text()], [404, await none.text()]);
  });
});

Deno.test("whatever a query says, it is understood or refused", async () => {
  await withPageApi(["a"], async (api) => {
    const key = await api.addKey("ann", "view");
    const cursor = (value: unknown) =>
      new TextEncoder().encode(JSON.stringify(value)).toBase64({ alphabet: "base64url" });
    const queries = [
      ...["limit=0", "limit=501", "limit=-1", "limit=1e2", "limit=x", "limit=1&limit=1"],
      ...["cursor=x", "cursor=%00", `cursor=${cursor({})}`, `cursor=${cursor([[1], {}])}`],
      ...[`cursor=${cursor([1, 2, 3, 4])}`, `cursor=${"a".repeat(600)}`, `cursor=${cursor([1.5])}`],
      ...["nonsense=1", "__proto__=1", "constructor=1"],
    ];
    for (const list of ["devices", "rejections", "dead", "commands", "outbox", "expiries"]) {
      for (const query of queries) {
        const response = await api.ask(`/ui/api/${list}?${query}`, { key });
        assert.equal(response.status, 400, `${list} ${query}`);
        assert.match((await response.json()).type, /:bad-query$/);
      }
    }
    for (
      const path of [
        ...["devices?sort=constructor", "devices?sort=", "devices?filter=x", "devices?order=up"],
        ...["devices?silent_after=0", "devices?silent_after=99999999999", "rejections?code=x"],
        ...["commands?state=x", "overview?x=1", "flow?x", "devices/a?x=1", "events?limit=0"],
        ...["events?limit=1001", "events?with=all"],
      ]
    ) {
      const { status } = await api.ask(`/ui/api/${path}`, { key });
      assert.equal(status, path === "devices?sort=" ? 200 : 400, path);
    }
    for (const path of ["dead/0", "dead/-1", "dead/1e3", "dead/%00", "dead/99999999999999999999"]) {
      assert.equal((await api.ask(`/ui/api/${path}`, { key })).status, 404, path);
    }
    for (const id of ["__proto__", "..", "a%2Fb", "%F0%9F%98%80", "x".repeat(2_000)]) {
      assert.equal((await api.ask(`/ui/api/devices/${id}`, { key })).status, 404, id);
    }
  });
});

Deno.test("ten thousand devices are filtered and sorted without a pause", async () => {
  const ids = Array.from({ length: 10_000 }, (_, i) => `sensor_${String(i).padStart(5, "0")}`);
  await withPageApi(ids, async (api) => {
    const key = await api.addKey("ann", "view");
    await api.json("/ui/api/devices", { key });
    const beganMs = performance.now();
    for (let i = 0; i < 10; i++) {
      api.clock.ms += 1_000; // made again each time
      const { total } = await api.json("/ui/api/devices?filter=silent&sort=last_message", { key });
      assert.equal(total, ids.length);
    }
    assert.ok(performance.now() - beganMs < 5_000, "half a second each, on any machine");
  });
});

Deno.test("a rejection of more than a day ago does not count", async () => {
  await withPageApi(["a"], async (api) => {
    const key = await api.addKey("ann", "view");
    const examined = [candidate("a", { verified: false })];
    const wallMs = (NOW - 2 * DAY_SECONDS) * 1000;
    await messagesOf(api.store).commit(batch({ examined, wallMs }));
    assert.deepEqual((await api.json("/ui/api/rejections", { key }))["rejections"], []);
  });
});

Deno.test("who only asks for the header of the events takes no place of those who follow them", async () => {
  await withPageApi([], async (api) => {
    const key = await api.addKey("ann", "view");
    for (let i = 0; i < 100; i++) {
      const { status, body } = await api.ask("/ui/api/events", { key, method: "HEAD" });
      assert.deepEqual([status, body], [200, null]);
    }
    const { status, body } = await api.ask("/ui/api/events", { key });
    assert.equal(status, 200);
    await body!.cancel();
  });
});
