import assert from "node:assert/strict";
import { RequestGate } from "../../../src/gateway/api/request_gate.ts";

const REQUEST = new Request("https://gateway.example/");

function answering(text: string) {
  return () => Promise.resolve(new Response(text));
}

async function ask(gate: RequestGate): Promise<string> {
  return await (await gate.handle(REQUEST, "192.0.2.7")).text();
}

Deno.test("requests wait until the gate is opened, and again while it holds", async () => {
  const gate = new RequestGate();
  const early = ask(gate);
  gate.open(answering("first"));
  assert.equal(await early, "first");
  await gate.hold(0);
  const late = ask(gate);
  gate.open(answering("second"));
  assert.equal(await late, "second");
});

Deno.test("hold waits for the requests that are under way, within its grace", async () => {
  const gate = new RequestGate();
  const { promise: response, resolve } = Promise.withResolvers<Response>();
  gate.open(() => response);
  const answer = ask(gate);
  await Promise.resolve();
  await gate.hold(1); // the grace is over first
  const held = gate.hold(60_000);
  resolve(new Response("done"));
  await held;
  assert.equal(await answer, "done");
});

Deno.test("a closed gate answers 503, also to those that waited", async () => {
  const gate = new RequestGate();
  const waiting = gate.handle(REQUEST, "192.0.2.7");
  gate.close();
  assert.equal((await waiting).status, 503);
  assert.equal((await gate.handle(REQUEST, "192.0.2.7")).headers.get("retry-after"), "5");
});
