import assert from "node:assert/strict";
import { Supervisor } from "../../../src/process/supervisor.ts";
import { readCredentials, StartError } from "../../../src/config/credentials.ts";
import type { GatewayEvent } from "../../../src/core/event.ts";
import type { GatewaySpec } from "../../../src/process/protocol.ts";
import { startSandboxedWorker } from "../../../src/process/worker_handle.ts";
import { watchedFiles } from "../../../src/gateway/telemetry/expiry_watch.ts";
import { permissionsOf } from "../../../src/process/permissions.ts";
import { withLiveSite } from "../../support/live_site.ts";
import { poll } from "../../../src/time/poll.ts";
import type { Outcomes } from "./hostile_worker.ts";

/** Refused as it should be, though Deno or SQLite say so in other words. */
const OTHER_WORDS: Readonly<Record<string, RegExp>> = {
  "remote code": /^TypeError: Requires import access to "example.com:443"/,
  "local code": /^TypeError: Requires read access to /,
  "a database attached": /^Error: too many attached databases - max 0/,
  "a copy of the database": /^Error: too many attached databases - max 0/,
};

Deno.test("a hostile module in the gateway's place reaches what the gateway needs, and nothing else", async () => {
  await withLiveSite(async (site) => {
    await site.register("sensor_001");
    const { config } = site;
    const options = {
      emit: () => {},
      onReady: () => {},
      startWorker: (spec: GatewaySpec) =>
        startSandboxedWorker(spec, import.meta.resolve("./hostile_worker.ts")),
    };
    const supervisor = new Supervisor({ config, credentials: readCredentials(config) }, options);
    const error = await supervisor.run(new AbortController().signal).catch((error) => error);
    assert.ok(error instanceof StartError, error);
    const outcomes: Outcomes = JSON.parse(error.message);
    for (const [name, outcome] of Object.entries(outcomes)) {
      if (name.startsWith("allowed: ")) assert.equal(outcome, "allowed", name);
      else assert.match(outcome, OTHER_WORDS[name] ?? /^NotCapable: /, `${name}: ${outcome}`);
    }
    assert.ok(Object.keys(outcomes).length > 40);
  }, { start: false });
});

Deno.test("permissions name hosts and ports as the settings have them", async () => {
  await withLiveSite((site) => {
    const netOf = (host: string, url: string, proxy?: string) =>
      permissionsOf({
        ...site.config,
        broker: { ...site.config.broker, host, port: 8884 },
        backend: { ...site.config.backend, url, proxy },
      }).net;
    assert.deepEqual(netOf("broker.example", "https://backend.example/x"), [
      "broker.example:8884",
      "backend.example:443",
      "127.0.0.1:0",
    ]);
    assert.deepEqual(netOf("::1", "http://[::1]"), ["[::1]:8884", "[::1]:80", "127.0.0.1:0"]);
    assert.deepEqual(netOf("::1", "http://backend.example", "http://proxy.example:3128"), [
      ...["[::1]:8884", "backend.example:80", "proxy.example:3128", "127.0.0.1:0"],
    ]);
    return Promise.resolve();
  }, { start: false });
});

Deno.test("the client certificate that the backend is shown is watched, and its key is not read", async () => {
  await withLiveSite((site) => {
    const pair = { certificate: "/backend-client.crt", key: "/backend-client.key" };
    const config = { ...site.config, backend: { ...site.config.backend, pair } };
    assert.ok(watchedFiles(config).includes(pair.certificate));
    assert.ok(!watchedFiles(site.config).includes(pair.certificate));
    const read = permissionsOf(config).read as string[];
    assert.deepEqual([pair.certificate, pair.key].map((path) => read.includes(path)), [
      true,
      false,
    ]);
    return Promise.resolve();
  }, { start: false });
});

Deno.test("a worker that dies is restarted, with a line in the log, and answers pings", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    const { config } = site;
    const events: GatewayEvent[] = [];
    const { promise: ready, resolve: onReady } = Promise.withResolvers<void>();
    const supervisor = new Supervisor({ config, credentials: readCredentials(config) }, {
      emit: (event) => events.push(event),
      onReady,
      startWorker: (spec: GatewaySpec) =>
        startSandboxedWorker(spec, import.meta.resolve("./mortal_worker.ts")),
    });
    const stop = new AbortController();
    const running = supervisor.run(stop.signal);
    await Promise.race([ready, running]);
    assert.equal(await supervisor.isAlive(), true);
    await device.response((await device.send("1")).messageId);
    await assert.rejects(site.api("/healthz"), TypeError);
    const died = await poll(
      "its death",
      () => events.find((event) => event.kind === "worker_died"),
    );
    assert.match(died.reason, /The worker was mortal$/);
    assert.equal(died.restartMs, 1000);
    await device.response((await device.send("2")).messageId, { timeoutMs: 30_000 });
    stop.abort();
    await running;
    assert.equal(await supervisor.isAlive(), false);
  }, { start: false });
});
