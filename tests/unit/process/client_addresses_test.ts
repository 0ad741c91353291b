import assert from "node:assert/strict";
import { ClientAddresses } from "../../../src/process/client_addresses.ts";

const FIRST = { listener: 1, port: 7, address: "192.0.2.7" };

Deno.test("an address is known from the connection's beginning to its end", () => {
  const clients = new ClientAddresses();
  clients.connected(1, FIRST);
  assert.equal(clients.addressOf(FIRST), "192.0.2.7");
  clients.disconnected(1);
  assert.equal(clients.addressOf(FIRST), undefined);
  assert.equal(clients.addressOf({ listener: 1, port: 8 }), undefined);
});

Deno.test("connections from one port to two listeners are two", () => {
  const clients = new ClientAddresses();
  const second = { ...FIRST, listener: 2, address: "192.0.2.8" };
  clients.connected(1, FIRST);
  clients.connected(2, second);
  assert.equal(clients.addressOf(FIRST), "192.0.2.7");
  clients.disconnected(1);
  assert.equal(clients.addressOf(second), "192.0.2.8");
});

Deno.test("an end that is told late does not take the address of the next from that port", () => {
  const clients = new ClientAddresses();
  const next = { ...FIRST, address: "192.0.2.8" };
  clients.connected(1, FIRST);
  clients.connected(2, next);
  clients.disconnected(1);
  assert.equal(clients.addressOf(next), "192.0.2.8");
  clients.disconnected(2);
  assert.equal(clients.addressOf(next), undefined);
});
