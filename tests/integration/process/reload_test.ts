import assert from "node:assert/strict";
import { connect } from "node:tls";
import { freePorts } from "../../support/free_ports.ts";
import { VERSION } from "../../../src/config/version.ts";
import { poll } from "../../../src/time/poll.ts";
import { withPageBrowser } from "../../support/page_browser.ts";
import type { LiveSite } from "../../support/live_site.ts";
import {
  reissueClient,
  reissueServer,
  reload,
  rewrite,
  withLiveProcess,
} from "../../support/live_process.ts";

const RELOADS = 10;
const DEVICES = ["sensor_001", "sensor_002", "sensor_003", "sensor_004"];
/** Between two messages of a device, so that the backend keeps up on a busy machine. */
const PACE_MS = 20;

/** Does something again and again until `stop`; returns what came of each. */
async function meanwhile<T>(
  stop: AbortSignal,
  work: () => Promise<T>,
  pauseMs = 0,
): Promise<T[]> {
  const outcomes: T[] = [];
  while (!stop.aborted) {
    outcomes.push(await work());
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
  return outcomes;
}

/** The serial number of the certificate that the API shows. */
function shownSerial(site: LiveSite): Promise<string> {
  const { port } = site.config.api;
  const ca = Deno.readTextFileSync(site.layout.gatewayCa.certificate);
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port, ca, servername: "localhost" }, () => {
      resolve(socket.getPeerCertificate().serialNumber.toLowerCase());
      socket.destroy();
    });
    socket.on("error", reject);
  });
}

/** Sends a command; returns the status, or what went wrong. */
async function command(site: LiveSite, client: Deno.HttpClient): Promise<string> {
  const key = Deno.readTextFileSync(site.layout.apiKey).trim();
  try {
    const response = await fetch(`https://localhost:${site.config.api.port}/command/sensor_001`, {
      method: "POST",
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      body: "1",
      client,
    });
    const text = await response.text();
    return response.status === 202 ? "202" : `${response.status} ${text}`;
  } catch (error) {
    return String((error as Error).cause ?? error);
  }
}

Deno.test(`${RELOADS} reloads under load lose no message and fail no request`, async () => {
  await withLiveProcess(async (site, gateway) => {
    const devices = await Promise.all(DEVICES.map((id) => site.device(id)));
    const caCerts = [Deno.readTextFileSync(site.layout.gatewayCa.certificate)];
    using one = Deno.createHttpClient({ caCerts });
    using kept = Deno.createHttpClient({ caCerts, http2: false });
    using fresh = Deno.createHttpClient({ caCerts, http2: false, poolMaxIdlePerHost: 0 });
    const stop = new AbortController();
    const sending = devices.map((device) =>
      meanwhile(stop.signal, () => device.send("1"), PACE_MS)
    );
    const asking = [one, kept, fresh].map((client) =>
      meanwhile(stop.signal, () => command(site, client))
    );
    for (let i = 0; i < RELOADS; i++) {
      const serial = await reissueServer(site.layout);
      await reissueClient(site.layout);
      const { event, message } = await reload(gateway);
      assert.equal(event, "reloaded", message);
      assert.match(message, /broker\.certificate.*api\.certificate/);
      assert.equal(await shownSerial(site), serial);
    }
    stop.abort();
    const sent = (await Promise.all(sending)).flat();
    for (const answers of await Promise.all(asking)) {
      assert.deepEqual(answers.filter((answer) => answer !== "202"), []);
      assert.ok(answers.length > RELOADS);
    }
    const reached = () => new Set(site.backend.received.map(({ messageId }) => messageId));
    await poll("every message", () => sent.every(({ messageId }) => reached().has(messageId)), {
      timeoutMs: 60_000,
    });
    assert.equal(reached().size, sent.length);
    assert.ok(sent.length > RELOADS);
  });
});

Deno.test("a changed api.key is no new key: it is warned of, and the one before stays", async () => {
  await withLiveProcess(async (site, gateway) => {
    const before = Deno.readTextFileSync(site.layout.apiKey).trim();
    await Deno.writeTextFile(site.layout.apiKey, "another-key-that-is-long-enough");
    assert.match((await reload(gateway)).message, /^Reloaded: api\.key_file$/);
    assert.equal((await site.api("/metrics")).status, 401);
    const headers = { authorization: `Bearer ${before}` };
    assert.equal((await site.api("/metrics", { headers })).status, 200);
    assert.ok(gateway.lines().some(({ event }) => event === "api_key_unknown"));
  });
});

Deno.test("SIGHUP with nothing new changes nothing, and says so", async () => {
  await withLiveProcess(async (site, gateway) => {
    const { config: { store, broker, api } } = site;
    const started = gateway.lines().find(({ event }) => event === "gateway_started");
    assert.partialDeepStrictEqual(started, {
      version: VERSION,
      database: store.database,
      broker: `${broker.host}:${broker.port}`,
      api: `${api.host}:${api.port}`,
      backend: new URL(site.backend.url).origin,
    });
    assert.equal((await reload(gateway)).message, "Reloaded: nothing changed");
    assert.equal(gateway.lines().filter(({ event }) => event === "gateway_started").length, 1);
  });
});

Deno.test("a new log level is the main process's own too, from the end of the reload", async () => {
  await withLiveProcess(async ({ layout: { configuration } }, gateway) => {
    const said = () =>
      gateway.lines().map(({ event }) => event).filter((one) => /^reload/.test(one));
    const toml = await Deno.readTextFile(configuration);
    const change = async (text: string, count: number) => {
      await Deno.writeTextFile(configuration, text);
      gateway.kill("SIGHUP");
      await poll(`${count} lines`, () => said().length === count, { timeoutMs: 30_000 });
    };
    const level = (name: string) => toml.replace('# level = "info"', `level = "${name}"`);
    await change(level("error"), 1);
    await change(`${toml}\n[nonsense]\n`, 2);
    assert.deepEqual(said(), ["reloading", "reload_failed"]);
    await change(level("debug"), 3);
    assert.equal(said()[2], "reloaded");
  });
});

Deno.test("bad files and settings are named, and the ones before stay", async () => {
  await withLiveProcess(async (site, gateway) => {
    const { layout } = site;
    const device = await site.device("sensor_001");
    const refused = async (path: string, content: string, named: RegExp) => {
      const good = await Deno.readTextFile(path);
      await Deno.writeTextFile(path, content);
      const { event, level, message } = await reload(gateway);
      assert.deepEqual([event, level], ["reload_failed", "error"], message);
      assert.match(message, named);
      await device.response((await device.send("1")).messageId);
      assert.equal((await site.api("/readyz")).status, 200);
      await Deno.writeTextFile(path, good);
    };
    const toml = await Deno.readTextFile(layout.configuration);
    await refused(layout.broker.certificate, "no certificate", /certs\/broker\.crt/);
    await refused(
      layout.gateway.key,
      await Deno.readTextFile(layout.broker.key),
      /gateway\.key" is not/,
    );
    await refused(layout.gatewayCa.certificate, "", /certs\/gateway-ca\.crt/);
    await refused(
      layout.configuration,
      `${toml}\n[nonsense]\n`,
      /gateway\.toml: line \d+: nonsense/,
    );
    await refused(layout.configuration, "[", /gateway\.toml: line 1/);
    const elsewhere = toml.replace('# database = "data/gateway.db"', 'database = "data/none.db"');
    assert.notEqual(elsewhere, toml);
    await refused(layout.configuration, elsewhere, /data\/none\.db": no such file/);
    assert.equal(gateway.lines().filter(({ event }) => event === "gateway_started").length, 1);
  });
});

Deno.test("an authority that does not know the broker is given up again for the one before", async () => {
  await withLiveProcess(async (site, gateway) => {
    const { layout } = site;
    const device = await site.device("sensor_001");
    const foreign = await Deno.readTextFile(layout.deviceCa.certificate);
    await Deno.writeTextFile(`${layout.certificatesFolder}/foreign.crt`, foreign);
    await rewrite(layout, '# ca = "certs/gateway-ca.crt"', 'ca = "certs/foreign.crt"');
    const { event, message } = await reload(gateway);
    assert.equal(event, "reload_failed");
    assert.match(message, /broker\.ca.*Not ready within 10 s/);
    await device.response((await device.send("1")).messageId);
    assert.equal((await site.api("/readyz")).status, 200);
  });
});

Deno.test("other addresses, by name and over TLS, are gone over to under other permissions", async () => {
  await withLiveProcess(async (site, gateway) => {
    const { layout, config } = site;
    const device = await site.device("sensor_001");
    await device.response((await device.send("1")).messageId);
    const stop = new AbortController();
    const backend = Deno.serve({
      port: 0,
      cert: await Deno.readTextFile(layout.broker.certificate),
      key: await Deno.readTextFile(layout.broker.key),
      signal: stop.signal,
      onListen: () => {},
    }, () => new Response("by TLS"));
    try {
      const [port] = freePorts(1) as [number];
      await rewrite(layout, '# host = "127.0.0.1"', 'host = "localhost"');
      await rewrite(layout, site.backend.url, `https://localhost:${backend.addr.port}`);
      await rewrite(layout, '# ca = ""', 'ca = "certs/gateway-ca.crt"');
      await rewrite(layout, `port = ${config.api.port}`, `port = ${port}`);
      const { message } = await reload(gateway);
      assert.equal(message, "Reloaded: broker.host, backend.url, backend.ca, api.port");
      const { messageId } = await device.send("2");
      assert.equal((await device.response(messageId)).text, "by TLS");
      await assert.rejects(site.api("/healthz"), TypeError);
      const moved = { ...config, api: { ...config.api, port } };
      assert.equal((await site.api("/healthz", {}, moved)).status, 200);
    } finally {
      stop.abort();
      await backend.finished;
    }
  });
});

Deno.test("a reload, in the same worker or in another, warns of nothing", async () => {
  await withLiveProcess(async ({ layout }, gateway) => {
    await rewrite(layout, "# accepted = false", "accepted = true");
    assert.equal((await reload(gateway)).message, "Reloaded: log.accepted");
    await rewrite(layout, '# host = "127.0.0.1"', 'host = "localhost"');
    assert.equal((await reload(gateway)).message, "Reloaded: broker.host");
    assert.equal(await gateway.stop(), 0);
    const lines = gateway.lines();
    assert.equal(lines.filter(({ event }) => event === "broker_connected").length, 3);
    assert.deepEqual(lines.filter(({ level }) => /^(warning|error)$/.test(level)), []);
  });
});

Deno.test("SIGTERM stops the gateway cleanly also in the middle of a reload", async () => {
  await withLiveProcess(async (site, gateway) => {
    await reissueServer(site.layout);
    gateway.kill("SIGHUP");
    await poll("the reload", () => gateway.lines().some(({ event }) => event === "reloading"));
    assert.equal(await gateway.stop(), 0);
  });
});

Deno.test("who has logged in at the page is so after a reload", async () => {
  await withLiveProcess((site, gateway) =>
    withPageBrowser(site, async (browser) => {
      await browser.logIn("ann", "view");
      const toml = await Deno.readTextFile(site.layout.configuration);
      const changed = toml.replace('# level = "info"', 'level = "debug"');
      await Deno.writeTextFile(site.layout.configuration, changed);
      assert.equal((await reload(gateway)).event, "reloaded");
      assert.equal((await browser.json("/ui/api/session")).name, "ann");
    })
  );
});
