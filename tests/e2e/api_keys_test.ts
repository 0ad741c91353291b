import assert from "node:assert/strict";
import { apiKeyDigest } from "../../src/config/credentials.ts";
import { BearerAuth } from "../../src/gateway/api/bearer_auth.ts";
import { type ApiHandler, createRoutes } from "../../src/gateway/api/routes.ts";
import { median } from "../bench/statistics.ts";
import { accessTo } from "../support/api_request.ts";
import { apiParts } from "../support/api_parts.ts";
import { withLiveSite } from "../support/live_site.ts";

/** Every key that is nearly the key. */
function* nearKeys(key: string): Iterable<string> {
  for (let i = 0; i < key.length; i++) {
    const letter = key[i]!;
    const other = letter === "A" ? "B" : "A";
    const flipped = letter === letter.toUpperCase() ? letter.toLowerCase() : letter.toUpperCase();
    yield key.slice(0, i) + other + key.slice(i + 1);
    yield key.slice(0, i) + key.slice(i + 1);
    yield key.slice(0, i) + other + key.slice(i);
    if (flipped !== letter) yield key.slice(0, i) + flipped + key.slice(i + 1);
  }
  for (const length of [1, 20, 22, 42, 44, 86, 1_000]) yield key.repeat(24).slice(0, length);
  yield* [`${key}\u00a0`, `${key}=`, `"${key}"`, `${key},`, key + key, [...key].reverse().join("")];
}

Deno.test("no key but the key opens the API, be it one character off", async () => {
  await withLiveSite(async (site) => {
    const { key } = accessTo(site);
    await site.register("sensor_001");
    const command = { method: "POST", body: "1" };
    let refused = 0;
    for (const near of nearKeys(key)) {
      const headers = { authorization: `Bearer ${near}` };
      const { status } = await site.api("/command/sensor_001", { ...command, headers });
      assert.equal(status, refused++ < 10 ? 401 : 429, near);
    }
    assert.ok(refused > 150);
    assert.equal(await site.metric('commands_accepted_total{delivery="queued"}'), 0);
    assert.equal((await site.api("/command/sensor_001", command)).status, 202);
  });
});

/** Medians of the time that each kind of request takes, taken in turns, so that noise hits all alike. */
async function medianTimes(
  api: ApiHandler,
  kinds: readonly string[],
  rounds: number,
): Promise<number[]> {
  const times = kinds.map((): number[] => []);
  for (let round = 0; round < rounds; round++) {
    for (const [i, authorization] of kinds.entries()) {
      const headers = authorization === "" ? undefined : { authorization };
      const request = new Request("https://gateway/command/sensor_001", {
        method: "POST",
        ...(headers && { headers }),
      });
      const startMs = performance.now();
      const { status } = await api(request, `192.0.2.${round}.${i}`); // nobody sends too many
      times[i]!.push(performance.now() - startMs);
      assert.equal(status, 401);
    }
  }
  return times.map(median);
}

Deno.test("a missing, a short and a nearly right key take the same time to refuse", async () => {
  const key = "x".repeat(43);
  const keys = [{
    name: "a",
    digest: apiKeyDigest(key),
    createdAt: 0,
    role: "commands" as const,
    deviceIds: undefined,
  }];
  const clock = { wallMs: () => 0, monotonicMs: () => 0 };
  const api = createRoutes(apiParts({
    auth: new BearerAuth(() => Promise.resolve(keys), clock),
  }));
  const wrong = [`y${key.slice(1)}`, `${key.slice(1)}y`, "x", key + key];
  const kinds = ["", ...wrong.map((key) => `Bearer ${key}`)];
  await medianTimes(api, kinds, 500); // warms up
  let times: number[] = [];
  for (let attempt = 0; attempt < 5; attempt++) { // another process may be in the way
    times = await medianTimes(api, kinds, 2_000);
    if (Math.max(...times) < 1.5 * Math.min(...times)) return;
  }
  assert.fail(`ms: ${times.join(" ")}`);
});
