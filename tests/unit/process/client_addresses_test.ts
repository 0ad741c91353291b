import assert from "node:assert/strict";
import { ClientAddresses } from "../../../src/process/client_addresses.ts";

Deno.test("a connection that is ahead of its notice waits for it", async () => {
  const clients = new ClientAddresses();
  const address = clients.addressOf(1);
  clients.connected(1, "192.0.2.7");
  assert.equal(await address, "192.0.2.7");
  assert.equal(await clients.addressOf(1), "192.0.2.7");
});

Deno.test("a connection that did not come through the proxy, or has ended, has no address", async () => {
  const clients = new ClientAddresses({ timeoutMs: 1 });
  clients.connected(1, "192.0.2.7");
  clients.disconnected(1);
  assert.equal(await clients.addressOf(1), undefined);
  assert.equal(await clients.addressOf(2), undefined);
});
