import assert from "node:assert/strict";
import { listeningPorts } from "../../src/doctor/listening_ports.ts";
import { poll } from "../../src/time/poll.ts";
import { withOutsideGateway } from "../support/outside_gateway.ts";
import { usageOf } from "../support/process_usage.ts";

const MIB = 1024 * 1024;
const CONNECTIONS = 2_000;
/** Half of them begin a handshake and do not end it. */
const HALF_HELLO = Uint8Array.of(22, 3, 1, 2, 0, 1, 0);

Deno.test("2,000 local connections behind the API's listener cost little, and the API goes on", async () => {
  await withOutsideGateway(async (site, gateway) => {
    const device = await site.device("sensor_001");
    await device.response((await device.send("1")).messageId);
    assert.equal((await site.api("/readyz")).status, 200);
    const ports = await listeningPorts(gateway.pid);
    const inner = ports?.filter((port) => port !== site.config.api.port) ?? [];
    assert.equal(inner.length, 1, `${ports}`);
    const before = (await usageOf(gateway)).residentBytes;
    const sockets: Deno.Conn[] = [];
    try {
      for (let i = 0; i < CONNECTIONS; i++) {
        const socket = await Deno.connect({ hostname: "127.0.0.1", port: inner[0]! });
        sockets.push(socket);
        if (i % 2 === 0) await socket.write(HALF_HELLO);
      }
      assert.equal((await site.api("/readyz")).status, 200);
      await device.response((await device.send("2")).messageId);
      const { residentBytes } = await usageOf(gateway);
      assert.ok(residentBytes - before < 100 * MIB, `${before} to ${residentBytes} bytes`);
    } finally {
      for (const socket of sockets) socket.close();
    }
    await poll("the API", async () => (await site.api("/readyz")).status === 200);
    assert.equal(await gateway.stop(), 0);
  });
});
