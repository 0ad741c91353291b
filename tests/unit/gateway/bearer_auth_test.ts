import assert from "node:assert/strict";
import { apiKeyDigest } from "../../../src/config/credentials.ts";
import {
  BearerAuth,
  WRONG_KEYS_MAX,
  WRONG_KEYS_WINDOW_MS,
} from "../../../src/gateway/api/bearer_auth.ts";

const KEY = "k".repeat(43);

/** A guard with one key; `ask` resolves to the status, 200 for the right key. */
function makeAuth() {
  const clock = { nowMs: 0 };
  const keys = [{
    name: "a",
    digest: apiKeyDigest(KEY),
    createdAt: 0,
    role: "commands" as const,
    deviceIds: undefined,
  }];
  const auth = new BearerAuth(() => Promise.resolve(keys), {
    wallMs: () => 0,
    monotonicMs: () => clock.nowMs,
  });
  const ask = async (key: string, address: string) => {
    const headers = { authorization: `Bearer ${key}` };
    const result = await auth.authenticate(new Request("https://g.example/", { headers }), address);
    return result instanceof Response ? result.status : 200;
  };
  return { ask, clock };
}

Deno.test("an address with too many wrong keys waits for the window's end; the right key passes", async () => {
  const { ask, clock } = makeAuth();
  for (let i = 0; i < WRONG_KEYS_MAX; i++) assert.equal(await ask("wrong", "192.0.2.1"), 401);
  assert.equal(await ask("wrong", "192.0.2.1"), 429);
  assert.equal(await ask("wrong", "192.0.2.2"), 401, "another address");
  assert.equal(await ask(KEY, "192.0.2.1"), 200);
  clock.nowMs = WRONG_KEYS_WINDOW_MS;
  assert.equal(await ask("wrong", "192.0.2.1"), 401);
});

Deno.test("while the store does not answer, the keys it had last may read, and nothing else", async () => {
  const keys = [{
    name: "a",
    digest: apiKeyDigest(KEY),
    createdAt: 0,
    role: "commands" as const,
    deviceIds: undefined,
  }];
  let answer = () => Promise.reject<typeof keys>(new Error("no store"));
  const auth = new BearerAuth(() => answer(), { wallMs: () => 0, monotonicMs: () => 0 });
  const requestWith = (key: string) =>
    new Request("https://g.example/", { headers: { authorization: `Bearer ${key}` } });
  const read = async (key: string) => {
    const result = await auth.authenticateReader(requestWith(key), "192.0.2.1");
    return result instanceof Response ? result.status : 200;
  };
  await assert.rejects(read(KEY), /no store/, "it has not said yet which there are");
  answer = () => Promise.resolve(keys);
  assert.equal(await read(KEY), 200);
  const never = Promise.withResolvers<typeof keys>().promise;
  for (const away of [() => Promise.reject(new Error("no store")), () => never]) {
    answer = away;
    assert.equal(await read(KEY), 200);
    assert.equal(await read("wrong"), 401);
  }
  answer = () => Promise.reject(new Error("no store"));
  await assert.rejects(auth.authenticate(requestWith(KEY), "192.0.2.1"), /no store/);
  answer = () => Promise.resolve([]);
  assert.equal(await read(KEY), 401, "it was removed");
});
