import assert from "node:assert/strict";
import { ClientAddresses } from "../../../src/process/client_addresses.ts";

Deno.test("a connection has its address until it ends; one that is not the proxy's has none", () => {
  const clients = new ClientAddresses();
  clients.connected(1, "192.0.2.7");
  assert.equal(clients.addressOf(1), "192.0.2.7");
  clients.disconnected(1);
  assert.equal(clients.addressOf(1), undefined);
  assert.equal(clients.addressOf(2), undefined);
});
