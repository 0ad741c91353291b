import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { ApiKeys } from "../../src/store/sqlite/api_keys.ts";
import { apiKeyDigest } from "../../src/config/credentials.ts";
import { Database } from "../../src/store/sqlite/database.ts";
import { Registry } from "../../src/store/sqlite/registry.ts";
import { poll } from "../../src/time/poll.ts";
import { type LiveSite, withLiveSite } from "../support/live_site.ts";

function command(site: LiveSite, id: string, body: BodyInit, headers = {}): Promise<Response> {
  return site.api(`/command/${id}`, { method: "POST", body, headers });
}

/** Leaves a site as it was before keys were in the database. */
async function forgetKeys({ layout: { database } }: LiveSite): Promise<void> {
  await Deno.remove(database);
  new Database(database, { create: true }).close();
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

Deno.test("a command reaches the device signed, fresh and byte for byte", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    const response = await command(site, "sensor_001", ' { "set" : 22.50, "é" : "☕" } ');
    assert.equal(response.status, 202);
    const answer = await response.json();
    assert.equal(answer.device_id, "sensor_001");
    assert.equal(answer.delivery, "queued");
    const received = await device.command();
    assert.ok(received.valid);
    assert.equal(received.payload, '{"set":22.50,"é":"☕"}');
    assert.equal(received.messageId, answer.message_id);
    assert.equal(received.timestamp, answer.timestamp);
    assert.match(
      received.raw,
      /^\{"timestamp":\d{10},"message_id":"[0-9a-f-]{36}","payload":.*,"signature":"[0-9a-f]{64}"\}$/,
    );
    assert.equal(await site.metric('commands_accepted_total{delivery="queued"}'), 1);
  });
});

Deno.test("a command that comes back as a reading is replayed, also after a restart", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    const reflect = async () => {
      await command(site, "sensor_001", '{"open":"door"}');
      const { raw } = await device.command();
      return JSON.stringify({ device_id: "sensor_001" }).slice(0, -1) + `,${raw.slice(1)}`;
    };
    await device.publish(await reflect());
    await site.logged("message_rejected", ({ code }) => code === "replayed");
    const kept = await reflect();
    await site.stopGateway();
    await site.startGateway();
    await device.publish(kept);
    await poll(
      "both refused",
      () => site.log.filter(({ code }) => code === "replayed").length === 2,
    );
    assert.deepEqual(site.backend.received, []);
  });
});

Deno.test("a command for a device that never listened says so", async () => {
  await withLiveSite(async (site) => {
    await site.register("sensor_001");
    const answer = await (await command(site, "sensor_001", "1")).json();
    assert.equal(answer.delivery, "no_subscriber");
  });
});

Deno.test("a command is dropped by the broker once the device would refuse it", async () => {
  await withLiveSite(async (site) => {
    const folder = await site.register("sensor_001");
    const away = await site.connect(folder, { sessionExpirySeconds: 600 });
    await away.close();
    const answer = await (await command(site, "sensor_001", '{"late":1}')).json();
    assert.equal(answer.delivery, "queued");
    await new Promise((resolve) => setTimeout(resolve, 2_500)); // the broker's own clock decides
    const back = await site.connect(folder, { sessionExpirySeconds: 600 });
    await command(site, "sensor_001", '{"fresh":1}');
    assert.equal((await back.command()).payload, '{"fresh":1}');
  }, { settings: { CHECKS_TOLERANCE: "1s" } });
});

Deno.test("commands that waited for their device are all there when it is back, in their order", async () => {
  await withLiveSite(async (site) => {
    const folder = await site.register("sensor_001");
    const session = { sessionExpirySeconds: 600 };
    await (await site.connect(folder, session)).close();
    const numbers = Array.from({ length: 20 }, (_, i) => String(i));
    for (const number of numbers) await command(site, "sensor_001", number);
    const back = await site.connect(folder, session);
    const payloads: string[] = [];
    for (const _ of numbers) payloads.push((await back.command()).payload);
    assert.deepEqual(payloads, numbers);
  });
});

Deno.test("every refusal of the contract's table comes over HTTPS", async () => {
  await withLiveSite(async (site) => {
    await site.device("sensor_001");
    const registry = <T>(work: (registry: Registry) => T) =>
      site.withStore((store) => work(new Registry(store)));
    await site.register("gone");
    registry((it) => it.revoke("gone", { revokedAt: 1, reason: "lost" }));
    const rows: [number, string, Promise<Response>][] = [
      [400, "not-json", command(site, "sensor_001", "{")],
      [413, "too-large", command(site, "sensor_001", `"${"x".repeat(65_536)}"`)],
      [
        415,
        "not-application-json",
        command(site, "sensor_001", "1", { "content-type": "text/xml" }),
      ],
      [401, "unauthorized", command(site, "sensor_001", "1", { authorization: "Bearer x" })],
      [404, "unknown-device", command(site, "nobody", "1")],
      [404, "unknown-device", command(site, "gone", "1")],
      [404, "unknown-device", command(site, "a%2Fb", "1")],
      [404, "not-found", site.api("/commands", { method: "POST", body: "1" })],
      [405, "method-not-allowed", site.api("/command/sensor_001", { method: "PUT" })],
    ];
    for (const [status, name, answer] of rows) {
      const response = await answer;
      assert.equal(response.status, status, name);
      assert.equal(response.headers.get("content-type"), "application/problem+json");
      assert.equal((await response.json()).type, `urn:secure-iot-gateway:problem:${name}`);
      if (status === 405) assert.equal(response.headers.get("allow"), "GET, POST");
    }
    const wrong = { authorization: "Bearer wrong" };
    for (let i = 0; i < 9; i++) await command(site, "a", "1", wrong);
    const limited = await command(site, "a", "1", wrong);
    assert.equal(limited.status, 429);
    assert.ok(Number(limited.headers.get("retry-after")) > 0);
  });
});

Deno.test("a running gateway follows what other processes do with the API keys", async () => {
  await withLiveSite(async (site) => {
    await site.register("sensor_001");
    await site.register("sensor_002");
    const as = async (key: string, id: string) =>
      (await command(site, id, "1", { authorization: `Bearer ${key}` })).status;
    const keys = <T>(work: (keys: ApiKeys) => T) =>
      site.withStore((store) => work(new ApiKeys(store)));
    assert.equal(await as("fresh", "sensor_001"), 401);
    keys((it) =>
      it.add(apiKeyDigest("fresh"), {
        name: "line1",
        createdAt: 1,
        role: "commands" as const,
        deviceIds: ["sensor_001"],
      })
    );
    assert.equal(await as("fresh", "sensor_001"), 202);
    assert.equal(await as("fresh", "sensor_002"), 404);
    keys((it) => it.remove("line1"));
    assert.equal(await as("fresh", "sensor_001"), 401);
  });
});

Deno.test("a site's api.key is taken over once, and is not needed any longer", async () => {
  await withLiveSite(async (site) => {
    await forgetKeys(site);
    await site.startGateway();
    await site.logged("api_key_imported");
    const key = (await Deno.readTextFile(site.layout.apiKey)).trim();
    const headers = { authorization: `Bearer ${key}` };
    const [digest] = site.withStore((store) => new ApiKeys(store).list());
    assert.equal(digest!.name, "backend");
    assert.equal(Buffer.from(digest!.digest).toString("hex"), sha256(key));
    assert.equal((await site.api("/metrics", { headers })).status, 200);
    await site.stopGateway();
    site.log.length = 0;
    site.withStore((store) => new ApiKeys(store).remove("backend"));
    await site.startGateway();
    await site.logged("api_key_unknown");
    await site.logged("api_key_missing");
    assert.equal((await site.api("/metrics", { headers })).status, 401, "removed is removed");
    site.withStore((store) =>
      new ApiKeys(store).add(apiKeyDigest(key), {
        name: "again",
        createdAt: 1,
        role: "commands",
        deviceIds: undefined,
      })
    );
    await site.stopGateway();
    await Deno.remove(site.layout.apiKey);
    await site.startGateway();
    await Deno.writeTextFile(site.layout.apiKey, "unread"); // for the site's own client
    assert.equal((await site.api("/metrics", { headers })).status, 200);
  }, { start: false });
});

Deno.test("an empty api.key is no key", async () => {
  await withLiveSite(async (site) => {
    await forgetKeys(site);
    await Deno.writeTextFile(site.layout.apiKey, "\n");
    await site.startGateway();
    await site.logged("api_key_missing");
    for (const authorization of ["", "Bearer", "Bearer "]) {
      const { status } = await site.api("/metrics", { headers: { authorization } });
      assert.equal(status, 401);
    }
  }, { start: false });
});

Deno.test("without the broker a command is refused, and not sent later", async () => {
  await withLiveSite(async (site) => {
    const folder = await site.register("sensor_001");
    await site.stopBroker();
    await site.logged("broker_disconnected");
    const refused = await command(site, "sensor_001", '{"never":1}');
    assert.equal(refused.status, 503);
    assert.ok(Number(refused.headers.get("retry-after")) > 0);
    assert.equal((await site.api("/healthz")).status, 200);
    await site.startBroker();
    await site.logged(
      "broker_connected",
      () => site.log.filter(({ event }) => event === "broker_connected").length === 2,
    );
    const device = await site.connect(folder);
    await command(site, "sensor_001", '{"now":1}');
    assert.equal((await device.command()).payload, '{"now":1}');
    assert.equal(device.commandsWaiting, 0);
  });
});

Deno.test("/readyz follows the broker, /healthz does not", async () => {
  await withLiveSite(async (site) => {
    assert.equal((await site.api("/readyz")).status, 200);
    assert.equal(await site.metric("broker_connected"), 1);
    await site.stopBroker();
    await site.logged("broker_disconnected");
    const response = await site.api("/readyz");
    assert.equal(response.status, 503);
    assert.match((await response.json()).detail, /the broker is not connected/);
    assert.equal((await site.api("/healthz")).status, 200);
    assert.equal(await site.metric("broker_connected"), 0);
    await site.startBroker();
    await site.logged(
      "broker_connected",
      () => site.log.filter(({ event }) => event === "broker_connected").length === 2,
    );
    assert.equal((await site.api("/readyz")).status, 200);
    assert.equal(await site.metric("broker_connects_total"), 2);
  });
});
