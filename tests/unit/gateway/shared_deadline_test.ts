import assert from "node:assert/strict";
import { type LimitedTask, SharedDeadline } from "../../../src/gateway/backend/shared_deadline.ts";

const NEVER = new AbortController().signal;

async function aborted({ signal }: LimitedTask): Promise<Error> {
  if (!signal.aborted) {
    await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
  }
  return signal.reason;
}

Deno.test("TimeLimit ends a task when its time is over, and not before", async () => {
  const limit = new SharedDeadline(30);
  const sinceMs = performance.now();
  const task = limit.begin(NEVER);
  assert.equal((await aborted(task)).message, "no answer within 30 ms");
  assert.ok(performance.now() - sinceMs >= 30);
  task.end();
});

Deno.test("tasks that begin together share a signal, and one that ends leaves the others to it", async () => {
  const limit = new SharedDeadline(30);
  const [first, second] = [limit.begin(NEVER), limit.begin(NEVER)];
  assert.equal(first.signal, second.signal);
  first.end();
  await aborted(second);
  second.end();
  const third = limit.begin(NEVER);
  assert.equal(third.signal.aborted, false, "a time that is over is nobody else's");
  third.end();
});

Deno.test("TimeLimit ends a task at the stop, and leaves no timer behind", async () => {
  const limit = new SharedDeadline(60_000);
  const stop = new AbortController();
  const task = limit.begin(stop.signal);
  stop.abort();
  await aborted(task);
  task.end(); // the test's own sanitizer would find the timer
});
