/** A client sends more than anybody reads. */

import assert from "node:assert/strict";
import { RequestPace } from "../../../src/process/request_pace.ts";

const KIB = 1024;
const PORTION = 16 * KIB;
/** The body of a command in chunks of one byte. */
const LARGEST_REQUEST = 256 * KIB;

/** True if more may be read within `ms`. */
async function isSoon(waiting: Promise<void>, ms: number): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => resolve(false), ms);
  const isDone = await Promise.race([waiting.then(() => true), late]);
  clearTimeout(timer);
  return isDone;
}

/** Sends so many bytes, in portions. */
async function send(pace: RequestPace, bytes: number): Promise<void> {
  for (let sent = 0; sent < bytes; sent += PORTION) await pace.sent(PORTION);
}

Deno.test("a request passes without a wait, and so does the next after an answer", async () => {
  const pace = new RequestPace();
  for (let i = 0; i < 100; i++) {
    assert.ok(await isSoon(send(pace, LARGEST_REQUEST), 0));
    pace.answered();
  }
});

Deno.test("what is more has to wait, and goes on when something goes back", async () => {
  const pace = new RequestPace();
  await send(pace, LARGEST_REQUEST);
  assert.ok(await isSoon(pace.sent(PORTION), 1_000), "a short wait");
  const waiting = pace.sent(8 * KIB * KIB);
  assert.equal(await isSoon(waiting, 200), false);
  pace.answered();
  await waiting;
  assert.ok(await isSoon(send(pace, LARGEST_REQUEST), 0));
});

Deno.test("HTTP/2's window passes though nothing goes back", async () => {
  assert.ok(await isSoon(send(new RequestPace(), KIB * KIB + LARGEST_REQUEST), 20_000));
});

Deno.test("a client whom nobody answers is given up", async () => {
  await assert.rejects(new RequestPace(50).sent(8 * KIB * KIB));
});

Deno.test("nothing waits after the end", async () => {
  const pace = new RequestPace();
  const waiting = pace.sent(8 * KIB * KIB);
  pace.end();
  await waiting;
  assert.ok(await isSoon(pace.sent(8 * KIB * KIB), 0));
});
