/** Logging in at the page, and who may do what with a session or a key. */

import assert from "node:assert/strict";
import { WRONG_KEYS_MAX } from "../../../../src/gateway/api/bearer_auth.ts";
import {
  IDLE_MS,
  LONGEST_MS,
  Sessions,
  SESSIONS_MAX,
  SESSIONS_OF_ONE_MAX,
} from "../../../../src/gateway/page/sessions.ts";
import { type PageApi, type PageRequest, withPageApi } from "../../../support/page_api.ts";

const SESSION = "/ui/api/session";

async function statusOf(api: PageApi, path: string, request?: PageRequest): Promise<number> {
  const response = await api.ask(path, request);
  await response.body?.cancel();
  return response.status;
}

async function problemOf(response: Response): Promise<string> {
  const { type } = await response.json();
  return `${response.status} ${type.split(":").at(-1)}`;
}

Deno.test("a key logs in and gets a cookie that only the page's requests carry", async () => {
  await withPageApi([], async (api) => {
    const key = await api.addKey("ann", "view");
    const response = await api.ask(SESSION, { method: "POST", body: { key } });
    assert.equal(response.status, 200);
    assert.deepEqual(await response.json(), { name: "ann", role: "view", devices: "every" });
    const [cookie, ...attributes] = response.headers.get("set-cookie")!.split("; ");
    assert.match(cookie!, /^__Host-session=[A-Za-z0-9_-]{43}$/);
    assert.deepEqual(attributes, ["Path=/", "Secure", "HttpOnly", "SameSite=Strict"]);
    assert.equal(response.headers.get("cache-control"), "no-store");
    assert.deepEqual(await api.json(SESSION, { cookie: cookie! }), {
      ...{ name: "ann", role: "view", devices: "every" },
    });
    assert.deepEqual(api.events.map(({ kind }) => kind), ["session_begun"]);
  });
});

Deno.test("a log-in has the guard against guessing that requests have; what is sent is bounded", async () => {
  await withPageApi([], async (api) => {
    const key = await api.addKey("ann", "view");
    const logIn = (body: unknown, over: PageRequest = {}) =>
      api.ask(SESSION, { method: "POST", body, ...over });
    for (let i = 0; i < WRONG_KEYS_MAX; i++) {
      assert.equal(await problemOf(await logIn({ key: `wrong ${i}` })), "401 unauthorized");
    }
    assert.equal(await problemOf(await logIn({ key: "wrong" })), "429 too-many-wrong-keys");
    assert.equal((await logIn({ key })).status, 200, "the right one passes");
    const rows: readonly [unknown, PageRequest, string][] = [
      [{ key }, { site: "cross-site" }, "403 cross-site"],
      [{ key }, { site: "same-site" }, "403 cross-site"],
      [{ key }, { site: null }, "403 cross-site"],
      [{ key }, { type: "text/plain" }, "415 not-application-json"],
      [{ key }, { type: "application/x-www-form-urlencoded" }, "415 not-application-json"],
      ["{", {}, "400 not-json"],
      [[key], {}, "400 not-json"],
      ["null", {}, "400 not-json"],
      [{ key, more: 1 }, {}, "400 bad-query"],
      [{ key: [key] }, {}, "400 bad-query"],
      [{}, {}, "400 bad-query"],
      [{ key: "x".repeat(5_000) }, {}, "413 too-large"],
      [{ key: "x".repeat(3_000) }, {}, "429 too-many-wrong-keys"],
      [{ key: "" }, {}, "429 too-many-wrong-keys"],
      [{ key: "a\u0000\u202e" }, {}, "429 too-many-wrong-keys"],
    ];
    for (const [body, over, problem] of rows) {
      assert.equal(await problemOf(await logIn(body, over)), problem, JSON.stringify([body, over]));
    }
  });
});

Deno.test("a key that is not for looking cannot log in, and opens nothing of the page's API", async () => {
  await withPageApi(["a"], async (api) => {
    for (const deviceIds of [undefined, ["a"], []]) {
      const key = await api.addKey(`k${deviceIds?.length}`, "commands", deviceIds);
      const response = await api.ask(SESSION, { method: "POST", body: { key } });
      assert.equal(response.headers.get("set-cookie"), null);
      assert.equal(await problemOf(response), "403 not-permitted");
      for (const path of ["overview", "flow", "devices", "dead", "commands", "expiries"]) {
        assert.equal(
          await problemOf(await api.ask(`/ui/api/${path}`, { key })),
          "403 not-permitted",
        );
      }
    }
  });
});

Deno.test("a session ends with its key, its log-out, and its time; each log-in is a new one", async () => {
  await withPageApi([], async (api) => {
    const key = await api.addKey("ann", "view");
    const first = await api.logIn(key);
    const second = await api.logIn(key);
    assert.notEqual(first, second);
    const again = await api.ask(SESSION, { method: "POST", body: { key }, cookie: first });
    const third = again.headers.get("set-cookie")!.split(";")[0]!;
    assert.equal(await statusOf(api, SESSION, { cookie: first }), 401, "a log-in ends it");
    assert.equal(await statusOf(api, SESSION, { cookie: second }), 200);
    const out = await api.ask(SESSION, { method: "DELETE", cookie: second });
    assert.equal(out.status, 204);
    assert.match(out.headers.get("set-cookie")!, /^__Host-session=; .*Max-Age=0$/);
    assert.equal(await statusOf(api, SESSION, { cookie: second }), 401);
    api.clock.ms += IDLE_MS - 1;
    assert.equal(await statusOf(api, SESSION, { cookie: third }), 200);
    api.clock.ms += IDLE_MS;
    assert.equal(await statusOf(api, SESSION, { cookie: third }), 401, "it was not used");
    const used = await api.logIn(key);
    for (let ms = 0; ms < LONGEST_MS; ms += IDLE_MS / 2) {
      assert.equal(await statusOf(api, SESSION, { cookie: used }), 200);
      api.clock.ms += IDLE_MS / 2;
    }
    assert.equal(await statusOf(api, SESSION, { cookie: used }), 401, "in all");
    const last = await api.logIn(key);
    await api.store.apiKeys.remove("ann");
    assert.equal(await statusOf(api, SESSION, { cookie: last }), 401);
    await api.addKey("ann", "view");
    assert.equal(await statusOf(api, SESSION, { cookie: last }), 401, "a key of the same name");
  });
});

Deno.test("a request of another page is worth nothing with a session, a change wants to come from the page", async () => {
  await withPageApi(["a"], async (api) => {
    const cookie = await api.logIn(await api.addKey("bob", "operate"));
    const change = "/ui/api/dead/drop";
    const body = { all: true };
    for (const site of ["cross-site", "same-site"]) {
      assert.equal(
        await problemOf(await api.ask("/ui/api/flow", { cookie, site })),
        "403 cross-site",
      );
    }
    assert.equal(await statusOf(api, "/ui/api/flow", { cookie, site: "none" }), 200);
    assert.equal(await statusOf(api, "/ui/api/flow", { cookie, site: null }), 200);
    for (const site of ["cross-site", "same-site", "none", null]) {
      const response = await api.ask(change, { method: "POST", cookie, site, body });
      assert.equal(await problemOf(response), "403 cross-site", String(site));
      assert.equal(await statusOf(api, SESSION, { method: "DELETE", cookie, site }), 403);
    }
    const plain = { method: "POST", cookie, body, type: "text/plain" };
    assert.equal(await problemOf(await api.ask(change, plain)), "415 not-application-json");
    assert.deepEqual(await api.json(change, { method: "POST", cookie, body }), {
      ...{ dropped: 0, more: false },
    });
    const odd = `${cookie}; ${cookie}`;
    for (
      const one of [odd, cookie.slice(0, -1), `${cookie}=`, "__Host-session=", "session=x", "=;;="]
    ) {
      assert.equal(await statusOf(api, SESSION, { cookie: one }), 401, one);
    }
    const name = cookie.replace("__Host-session", "session");
    assert.equal(await statusOf(api, SESSION, { cookie: name }), 401, "another name");
    assert.equal(await statusOf(api, SESSION, { cookie: `a=b; ${cookie}` }), 200);
  });
});

Deno.test("a cookie is worth nothing outside the page's API, and nothing beside a wrong key", async () => {
  await withPageApi(["a"], async (api) => {
    const cookie = await api.logIn(await api.addKey("bob", "operate"));
    for (
      const [path, method] of [["/command/a", "POST"], ["/command/a", "GET"], ["/metrics", "GET"]]
    ) {
      const request = { cookie, method: method!, ...(method === "POST" && { body: 1 }) };
      assert.equal(await statusOf(api, path!, request), 401, `${method} ${path}`);
    }
    assert.equal(await statusOf(api, SESSION, { cookie, key: "wrong" }), 401);
    assert.equal(await statusOf(api, SESSION, { cookie }), 200);
  });
});

Deno.test("a role has its rights: view looks, operate changes too, neither sends commands", async () => {
  await withPageApi(["a"], async (api) => {
    const view = await api.addKey("ann", "view");
    const operate = await api.addKey("bob", "operate");
    const plain = await api.addKey("backend", "commands");
    const message = "660f9500-f39c-42e5-b827-557766551111";
    const rows: readonly [string, string, unknown, number, number, number][] = [
      ["GET", "/ui/api/overview", undefined, 200, 200, 403],
      ["GET", "/ui/api/events", undefined, 200, 200, 200],
      ["POST", "/ui/api/dead/retry", { all: true }, 403, 200, 403],
      ["POST", "/ui/api/dead/7/drop", {}, 403, 404, 403],
      ["POST", "/ui/api/outbox/7/drop", {}, 403, 404, 403],
      ["GET", "/command/a", undefined, 200, 200, 200],
      ["GET", "/metrics", undefined, 200, 200, 200],
    ];
    for (const [method, path, body, ...statuses] of rows) {
      for (const [i, key] of [view, operate, plain].entries()) {
        const request = { key, method, body, site: null };
        assert.equal(await statusOf(api, path, request), statuses[i], `${key} ${method} ${path}`);
      }
    }
    for (const key of [view, operate]) {
      const send = await api.ask("/command/nobody", { key, method: "POST", body: 1 });
      assert.equal(await problemOf(send), "403 not-permitted", "and it says nothing of devices");
    }
    const cancel = await api.ask(`/command/a/${message}`, { key: view, method: "DELETE" });
    assert.equal(await problemOf(cancel), "403 not-permitted");
  });
});

Deno.test("ten thousand log-ins keep no more sessions than there may be, and end those of no other key", () => {
  let nowMs = 0;
  const sessions = new Sessions({ monotonicMs: () => nowMs++ });
  const digestOf = (n: number) => {
    const digest = new Uint8Array(32);
    new DataView(digest.buffer).setUint32(0, n);
    return digest;
  };
  const other = sessions.begin({ digest: digestOf(1) });
  const mine = Array.from({ length: 10_000 }, () => sessions.begin({ digest: digestOf(2) }));
  assert.equal(sessions.size, SESSIONS_OF_ONE_MAX + 1);
  assert.ok(sessions.stands(other));
  assert.ok(sessions.stands(mine.at(-1)!) && !sessions.stands(mine[0]!));
  assert.equal(new Set(mine).size, mine.length);
  for (let n = 0; n < SESSIONS_MAX + 100; n++) sessions.begin({ digest: digestOf(10 + n) });
  assert.equal(sessions.size, SESSIONS_MAX);
  nowMs += LONGEST_MS;
  sessions.begin({ digest: digestOf(3) });
  assert.equal(sessions.size, 1, "those that are over are forgotten");
});
