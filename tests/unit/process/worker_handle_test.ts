import assert from "node:assert/strict";
import { readConfig } from "../../../src/config/config.ts";
import type {
  GatewaySpec,
  SupervisorPort,
  WorkerMessage,
  WorkerRequest,
} from "../../../src/process/protocol.ts";
import { WorkerHandle } from "../../../src/process/worker_handle.ts";
import { renderGatewayToml } from "../../../src/site/gateway_toml.ts";

function makeSpec(backendUrl = "https://backend.example"): GatewaySpec {
  const toml = renderGatewayToml({
    clientId: "secure-iot-gateway-0123456789abcdef",
    backendUrl,
    gatewayPort: 18884,
    apiPort: 18443,
    deviceHost: "gateway.example",
    devicePort: 18883,
  });
  const result = readConfig(toml, { environment: {}, directory: "/site" });
  assert.ok(result.ok);
  const pair = { certificate: "", key: "" };
  const credentials = {
    broker: { ...pair, ca: "" },
    backend: { ca: undefined, fields: [], pair: undefined, signingKeys: [] },
    store: undefined,
    api: { ...pair, keyDigest: undefined },
  };
  return { config: result.config, credentials };
}

/** A worker that does only what a test says. */
class FakePort implements SupervisorPort {
  onmessage: SupervisorPort["onmessage"] = null;
  onerror: SupervisorPort["onerror"] = null;
  readonly requests: WorkerRequest[] = [];
  terminated = false;

  postMessage(request: WorkerRequest): void {
    this.requests.push(request);
  }

  terminate(): void {
    this.terminated = true;
  }

  say(data: WorkerMessage): void {
    this.onmessage?.(new MessageEvent("message", { data }));
  }
}

function makeWorker() {
  const port = new FakePort();
  return { port, worker: new WorkerHandle(makeSpec(), port) };
}

Deno.test("calls wait until the worker has loaded, and each gets its own reply", async () => {
  const { port, worker } = makeWorker();
  const first = worker.call({ kind: "ping" });
  const second = worker.call({ kind: "drain" });
  assert.deepEqual(port.requests, []);
  port.say({ kind: "loaded" });
  assert.deepEqual(port.requests, [{ kind: "ping", id: 1 }, { kind: "drain", id: 2 }]);
  port.say({ kind: "reply", id: 2, error: "No" });
  port.say({ kind: "reply", id: 1 });
  await assert.rejects(second, { name: "StartError", message: "No" });
  await first;
});

Deno.test("all that waits for a worker is rejected when it ends, and so are later calls", async () => {
  const { port, worker } = makeWorker();
  port.say({ kind: "loaded" });
  const waiting = [worker.call({ kind: "ping" }), worker.port, worker.run(makeSpec(), 0)];
  const rejected = waiting.map((work) => assert.rejects(work, { message: "out of memory" }));
  port.say({ kind: "died", message: "out of memory" });
  await Promise.all(rejected);
  await assert.rejects(worker.call({ kind: "ping" }), { message: "out of memory" });
  assert.deepEqual(await worker.ended, { kind: "died", message: "out of memory" });
  assert.ok(port.terminated);
});

Deno.test("the port is the one at which the worker listens now", async () => {
  const { port, worker } = makeWorker();
  const early = worker.port;
  port.say({ kind: "listening", port: 1001 });
  assert.equal(await early, 1001);
  port.say({ kind: "listening", port: 1002 });
  assert.equal(await worker.port, 1002);
});

Deno.test("a stop that is replied to is no death", async () => {
  const { port, worker } = makeWorker();
  port.say({ kind: "loaded" });
  const stopped = worker.stop(0);
  port.say({ kind: "reply", id: 1 });
  await stopped;
  assert.deepEqual(await worker.ended, { kind: "stopped" });
});

Deno.test("a worker may run another spec only if that needs the same permissions", () => {
  const { worker } = makeWorker();
  assert.ok(worker.mayRun(makeSpec()));
  assert.ok(!worker.mayRun(makeSpec("https://elsewhere.example")));
  worker.kill("enough");
  assert.ok(!worker.mayRun(makeSpec()));
});
