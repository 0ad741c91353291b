/** The contract in machine form, held against a live gateway. */

import assert from "node:assert/strict";
import { SampleBackend } from "../../src/demo/sandbox/sample_backend.ts";
import { Contract } from "../support/contract.ts";
import { type LiveSite, withLiveSite } from "../support/live_site.ts";
import { ValidatingProxy, WANTS_PROXY } from "../support/validating_proxy.ts";

const COMMAND = "/command/{id}";
const NOT_ASKED = "skipped: no TEST_PRISM=1, which lets npm fetch Prism";

/** What is asked, by which described path, and the status that must come. */
type Row = readonly [path: string, url: string, status: number, init?: RequestInit];

const REBOOT = { method: "POST", body: '{"action":"reboot"}' };
const WRONG_KEY = { headers: { authorization: "Bearer wrong" } };

/** Those that a proxy lets through too, since the request is as described. */
const DESCRIBED: readonly Row[] = [
  ["/healthz", "/healthz", 200],
  ["/readyz", "/readyz", 200],
  ["/metrics", "/metrics", 200],
  ["/openapi.json", "/openapi.json", 200],
  [COMMAND, "/command/sensor_001", 202, REBOOT],
  [COMMAND, "/command/nobody", 404, REBOOT],
  [COMMAND, "/command/sensor_001", 401, { ...REBOOT, ...WRONG_KEY }],
  ["/metrics", "/metrics", 401, WRONG_KEY],
];

/** Those that it would answer itself; to Prism, `null` is no body. */
const ODD: readonly Row[] = [
  [COMMAND, "/command/sensor_001", 202, { method: "POST", body: "null" }],
  ["/healthz", "/healthz", 405, { method: "POST" }],
  [COMMAND, "/command/sensor_001", 405],
  [COMMAND, "/command/sensor_001", 400, { method: "POST", body: "{" }],
  [COMMAND, "/command/sensor_001", 413, { method: "POST", body: `"${"x".repeat(65_536)}"` }],
  [COMMAND, "/command/sensor_001", 415, { ...REBOOT, headers: { "content-type": "text/plain" } }],
  [COMMAND, "/command/a%2Fb", 404, REBOOT],
];

Deno.test("a live gateway answers as docs/openapi.json says", async () => {
  const contract = new Contract("openapi.json");
  const assertDescribed = async (site: LiveSite, [path, url, status, init]: Row) => {
    const response = await site.api(url, init);
    assert.equal(response.status, status, url);
    const item = contract.root["paths"]![path]!;
    const operation = item["post"] ?? item["get"]!;
    assert.deepEqual(await contract.faultsOfAnswer(operation, response), [], `${url} ${status}`);
  };
  await withLiveSite(async (site) => {
    await site.device("sensor_001");
    for (const row of [...DESCRIBED, ...ODD]) await assertDescribed(site, row);
    const served = await site.api("/openapi.json", { headers: { authorization: "" } });
    assert.deepEqual(await served.json(), contract.root);
    for (let i = 0; i < 8; i++) await site.api("/metrics", WRONG_KEY);
    await assertDescribed(site, ["/metrics", "/metrics", 429, WRONG_KEY]);
    await site.stopBroker();
    await site.logged("broker_disconnected");
    await assertDescribed(site, ["/readyz", "/readyz", 503]);
    await assertDescribed(site, [COMMAND, "/command/sensor_001", 503, REBOOT]);
  });
});

Deno.test("what a device receives is as docs/asyncapi.json says", async () => {
  const contract = new Contract("asyncapi.json");
  const { command, response } = contract.root["components"]!["messages"]!;
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    await site.api("/command/sensor_001", REBOOT);
    const { raw } = await device.command();
    assert.deepEqual(contract.faults(command!["payload"]!, JSON.parse(raw)), []);
    const { messageId } = await device.send("1");
    const { userProperties } = await device.response(messageId);
    assert.deepEqual(contract.faults(response!["headers"]!, { ...userProperties }), []);
    const { properties } = contract.follow(response!["headers"]!);
    assert.deepEqual(Object.keys(userProperties).sort(), Object.keys(properties!).sort());
  });
});

Deno.test("a validating proxy lets the gateway's answers pass", async () => {
  if (!WANTS_PROXY) return console.log(NOT_ASKED);
  await withLiveSite(async (site) => {
    await site.device("sensor_001");
    const ca = site.layout.gatewayCa.certificate;
    const upstream = `https://localhost:${site.config.api.port}`;
    const proxy = await ValidatingProxy.start("openapi.json", upstream, { ca });
    const key = (await Deno.readTextFile(site.layout.apiKey)).trim();
    try {
      for (const [, url, status, init] of DESCRIBED) {
        const headers = {
          authorization: `Bearer ${key}`,
          "content-type": "application/json",
          ...init?.headers,
        };
        const answer = await fetch(proxy.url + url, { ...init, headers });
        const text = await answer.text();
        assert.equal(answer.status, status, `${url}: ${text}`);
        assert.equal(answer.headers.get("sl-violations"), null, url);
      }
      assert.doesNotMatch(proxy.log, /violation/i);
    } finally {
      await proxy.stop();
    }
  });
});

Deno.test("a validating proxy lets the gateway's readings pass to the backend", async () => {
  if (!WANTS_PROXY) return console.log(NOT_ASKED);
  const backend = SampleBackend.start();
  const proxy = await ValidatingProxy.start("backend_openapi.json", backend.url);
  const settings = { BACKEND_URL: proxy.url, BACKEND_SIGNING_KEY_FILE: "backend.signing" };
  try {
    await withLiveSite(async (site) => {
      const file = `${site.layout.directory}/backend.signing`;
      await Deno.writeTextFile(file, `whsec_${new Uint8Array(32).toBase64()}\n`, { mode: 0o600 });
      await site.startGateway();
      const device = await site.device("sensor_001");
      const { messageId } = await device.send('{"temperature":22.5}');
      const { status, text } = await device.response(messageId);
      assert.equal(status, "200", text);
      assert.equal(backend.received.length, 1, proxy.log);
      assert.doesNotMatch(proxy.log, /violation/i);
    }, { settings, start: false });
    const reading = { method: "POST", body: "{}", headers: { "content-type": "application/json" } };
    const refused = await fetch(`${proxy.url}/device/sensor_001/data`, reading);
    assert.match(await refused.text(), /idempotency-key/i);
    assert.equal(refused.status, 422, "it would have said so");
  } finally {
    await proxy.stop();
    await backend.stop();
  }
});
