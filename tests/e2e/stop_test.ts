import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { withLiveSite } from "../support/live_site.ts";

async function msOf(work: () => Promise<void>): Promise<number> {
  const startedMs = performance.now();
  await work();
  return performance.now() - startedMs;
}

Deno.test("a broker that does not answer does not hold up a stop", async () => {
  await withLiveSite(async (site) => {
    await site.logged("caught_up");
    site.broker!.kill("SIGSTOP");
    const stopMs = await msOf(() => site.stopGateway());
    site.broker!.kill("SIGCONT");
    assert.ok(stopMs < 3_000, `${stopMs} ms`);
  });
});

Deno.test("sockets that send nothing, no handshake, or half a request, do not hold up a stop", async () => {
  await withLiveSite(async (site) => {
    const caCerts = [await Deno.readTextFile(site.layout.gatewayCa.certificate)];
    const { port } = site.config.api;
    const mute = await Deno.connect({ hostname: "localhost", port });
    const silent = await Deno.connectTls({ hostname: "localhost", port, caCerts });
    await silent.handshake();
    const half = await Deno.connectTls({ hostname: "localhost", port, caCerts });
    await half.write(new TextEncoder().encode("POST /command/sensor_001 HTTP/1.1\r\nHost: x\r\n"));
    const stopMs = await msOf(() => site.stopGateway());
    mute.close();
    silent.close();
    half.close();
    assert.ok(stopMs < 3_000, `${stopMs} ms`);
  });
});

Deno.test("a locked store does not hold up a stop, and what was not written is not acknowledged", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    await device.response((await device.send("1")).messageId);
    const other = new DatabaseSync(site.config.store.database);
    other.exec("BEGIN IMMEDIATE");
    const { messageId } = await device.send("2");
    const stopMs = await msOf(() => site.stopGateway());
    other.exec("ROLLBACK");
    other.close();
    assert.ok(stopMs < 3_000, `${stopMs} ms`);
    await site.startGateway();
    await device.response(messageId);
  });
});
