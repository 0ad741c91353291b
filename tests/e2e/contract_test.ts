/** The contract in machine form, held against a live gateway. */

import assert from "node:assert/strict";
import { SampleBackend } from "../../src/demo/sandbox/sample_backend.ts";
import { Contract } from "../support/contract.ts";
import { type LiveSite, withLiveSite } from "../support/live_site.ts";
import { ValidatingProxy, WANTS_PROXY } from "../support/validating_proxy.ts";

const COMMAND = "POST /command/{id}";
const LIST = "GET /command/{id}";
const ONE = "GET /command/{id}/{message_id}";
const CANCEL = "DELETE /command/{id}/{message_id}";
const NO_COMMAND = "660f9500-f39c-42e5-b827-557766551111";
const NOT_ASKED = "skipped: no TEST_PRISM=1, which lets npm fetch Prism";

/** What is asked, by which described operation, and the status that must come. */
type Row = readonly [operation: string, url: string, status: number, init?: RequestInit];

const REBOOT = { method: "POST", body: '{"action":"reboot"}' };
const WRONG_KEY = { headers: { authorization: "Bearer wrong" } };

/** Those that a proxy lets through too, since the request is as described. */
const DESCRIBED: readonly Row[] = [
  ["GET /healthz", "/healthz", 200],
  ["GET /readyz", "/readyz", 200],
  ["GET /metrics", "/metrics", 200],
  ["GET /openapi.json", "/openapi.json", 200],
  [COMMAND, "/command/sensor_001", 202, REBOOT],
  [COMMAND, "/command/nobody", 404, REBOOT],
  [COMMAND, "/command/sensor_001", 401, { ...REBOOT, ...WRONG_KEY }],
  [COMMAND, "/command/sensor_001", 200, { ...REBOOT, headers: { prefer: "wait=0" } }],
  [COMMAND, "/command/nobody", 404, { ...REBOOT, headers: { ttl: "60" } }],
  [LIST, "/command/sensor_001", 200],
  [LIST, "/command/nobody", 404],
  [ONE, `/command/sensor_001/${NO_COMMAND}`, 404],
  [CANCEL, `/command/sensor_001/${NO_COMMAND}`, 404, { method: "DELETE" }],
  ["GET /metrics", "/metrics", 401, WRONG_KEY],
];

/** Those that it would answer itself; to Prism, `null` is no body. */
const ODD: readonly Row[] = [
  [COMMAND, "/command/sensor_001", 202, { method: "POST", body: "null" }],
  ["GET /healthz", "/healthz", 405, { method: "POST" }],
  [COMMAND, "/command/sensor_001", 405, { method: "PUT" }],
  [COMMAND, "/command/sensor_001", 400, { ...REBOOT, headers: { ttl: "4" } }],
  [COMMAND, "/command/sensor_001", 400, { ...REBOOT, headers: { "idempotency-key": "a b" } }],
  [LIST, "/command/sensor_001?limit=0", 400],
  [ONE, "/command/sensor_001/660f9500", 404],
  [CANCEL, "/command/sensor_001/660f9500", 404, { method: "DELETE" }],
  [COMMAND, "/command/sensor_001", 400, { method: "POST", body: "{" }],
  [COMMAND, "/command/sensor_001", 413, { method: "POST", body: `"${"x".repeat(65_536)}"` }],
  [COMMAND, "/command/sensor_001", 415, { ...REBOOT, headers: { "content-type": "text/plain" } }],
  [COMMAND, "/command/a%2Fb", 404, REBOOT],
];

Deno.test("a live gateway answers as docs/openapi.json says", async () => {
  const contract = new Contract("openapi.json");
  const assertDescribed = async (site: LiveSite, [of, url, status, init]: Row) => {
    const response = await site.api(url, init);
    assert.equal(response.status, status, url);
    const [method, path] = of.split(" ");
    const operation = contract.root["paths"]![path!]![method!.toLowerCase()]!;
    assert.deepEqual(await contract.faultsOfAnswer(operation, response), [], `${url} ${status}`);
  };
  await withLiveSite(async (site) => {
    await site.device("sensor_001");
    for (const row of [...DESCRIBED, ...ODD]) await assertDescribed(site, row);
    const served = await site.api("/openapi.json", { headers: { authorization: "" } });
    assert.deepEqual(await served.json(), contract.root);
    for (let i = 0; i < 8; i++) await site.api("/metrics", WRONG_KEY);
    await assertDescribed(site, ["GET /metrics", "/metrics", 429, WRONG_KEY]);
    await site.stopBroker();
    await site.logged("broker_disconnected");
    await assertDescribed(site, ["GET /readyz", "/readyz", 503]);
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
