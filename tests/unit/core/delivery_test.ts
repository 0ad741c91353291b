import assert from "node:assert/strict";
import {
  type Answer,
  dispositionOf,
  RETRY_AFTER_MAX_MS,
  retryAfterMs,
  retryDelayMs,
  shownLocation,
} from "../../../src/core/delivery.ts";
import { isStatusList, RETRY_STATUSES, statusesOf } from "../../../src/core/retry_statuses.ts";
import { Fifo } from "../../../src/core/fifo.ts";
import { CONCURRENCY_MIN, ConcurrencyLimit } from "../../../src/core/concurrency_limit.ts";
import { refill } from "../../../src/core/token_bucket.ts";

const answer = (status: number, retryAfter: string | null = null): Answer => ({
  kind: "answer",
  status,
  body: undefined,
  retryAfter,
  location: null,
  contentType: null,
});
const BACKOFF = { firstMs: 500, longestMs: 30_000 };

Deno.test("every status means what the contract says", () => {
  const again = [401, 403, 404, 405, 407, 408, 409, 421, 425, 426, 429];
  const standard = statusesOf(RETRY_STATUSES);
  for (let status = 200; status < 1000; status++) {
    const expected = status < 300
      ? "delivered"
      : status < 400 || again.includes(status) || status >= 500
      ? "retry"
      : "rejected";
    assert.equal(dispositionOf(answer(status), standard), expected, `${status}`);
  }
  const none = statusesOf("");
  assert.equal(dispositionOf({ kind: "no_answer", reason: "refused" }, none), "retry");
  assert.equal(dispositionOf(answer(503), none), "rejected");
  assert.equal(dispositionOf(answer(422), statusesOf("408,422 , 5xx")), "retry");
});

Deno.test("a Location is shown without what may be a key, or may move a terminal's cursor", () => {
  const rows = [
    ["https://b.example/in/?key=s3cr3t", "https://b.example/in/"],
    ["https://b.example/in/#s3cr3t", "https://b.example/in/"],
    ["https://me:s3cr3t@b.example/in/", "https://b.example/in/"],
    ["//s3cr3t@b.example/", "//b.example/"],
    ["/a@b/", "/a@b/"],
    ["/\u009b2J\n", "/?2J?"],
    ["", ""],
  ] as const;
  for (const [location, shown] of rows) assert.equal(shownLocation(location), shown);
  assert.equal(shownLocation("x".repeat(1_000)).length, 500);
});

Deno.test("a list of statuses has statuses and classes from 300 to 599, and nothing else", () => {
  for (const list of ["", "408", "3xx,5xx", " 301 , 4xx "]) assert.ok(isStatusList(list), list);
  for (const list of ["200", "2xx", "600", "5XX", "408;409", "408,", "x", "40", "5xx 408"]) {
    assert.ok(!isStatusList(list), list);
  }
});

Deno.test("waits grow exponentially up to the longest, half of each by chance", () => {
  const none = { kind: "no_answer", reason: "" } as const;
  const delay = (tries: number, random: number) =>
    retryDelayMs(none, tries, { backoff: BACKOFF, random, nowMs: 0 });
  assert.deepEqual([1, 2, 3, 7, 8, 1_000].map((tries) => delay(tries, 0)), [
    250,
    500,
    1_000,
    15_000,
    15_000,
    15_000,
  ]);
  assert.equal(delay(1, 0.5), 375);
  assert.ok(delay(1_000, 0.999) < 30_000);
});

Deno.test("Retry-After is honoured in both forms, within reason", () => {
  const nowMs = Date.parse("2026-01-01T00:00:00Z");
  assert.equal(retryAfterMs("120", nowMs), 120_000);
  assert.equal(retryAfterMs(" 7 ", nowMs), 7_000);
  assert.equal(retryAfterMs("Thu, 01 Jan 2026 00:00:30 GMT", nowMs), 30_000);
  assert.equal(retryAfterMs("Thu, 01 Jan 2015 00:00:30 GMT", nowMs), 0);
  assert.equal(retryAfterMs("Thursday, 01-Jan-26 00:00:30 GMT", nowMs), 30_000);
  assert.equal(retryAfterMs("Friday, 01-Jan-99 00:00:30 GMT", nowMs), 0);
  assert.equal(retryAfterMs("Thu Jan  1 00:00:30 2026", nowMs), 30_000);
  const noDates = ["2030-01-01", "Thu, 01 Jan 2030", "01 Jan 2030 00:00:00 GMT", "1/1/2030"];
  const impossible = ["Thu, 32 Jan 2030 00:00:00 GMT", "Thu, 01 Jan 2030 24:00:00 GMT"];
  const wrongZone = ["Thu, 01 Jan 2030 00:00:00 +0100", "Thu, 01 Jan 2030 00:00:00"];
  const nonsense = [null, "", "soon", "-5", "1e3", "NaN", "+5", "1.5", "5 s"];
  for (const field of [...nonsense, ...noDates, ...impossible, ...wrongZone]) {
    assert.equal(retryAfterMs(field, nowMs), 0, `${field}`);
  }
  assert.equal(retryAfterMs("9999999999", nowMs), RETRY_AFTER_MAX_MS);
  const options = { backoff: BACKOFF, random: 0, nowMs };
  assert.equal(retryDelayMs(answer(503, "120"), 1, options), 120_000);
  assert.equal(retryDelayMs(answer(503, "0"), 1, options), 250);
});

Deno.test("Pace grows from small, halves at a failure, and stays within its bounds", () => {
  const pace = new ConcurrencyLimit(32);
  assert.equal(pace.limit, CONCURRENCY_MIN);
  for (let i = 0; i < 100; i++) pace.succeeded();
  assert.equal(pace.limit, 32);
  pace.failed();
  assert.equal(pace.limit, 16);
  pace.succeeded();
  assert.equal(pace.limit, 16, "after a failure it grows by one a round, not by one a success");
  for (let i = 0; i < 17; i++) pace.succeeded();
  assert.equal(pace.limit, 17);
  for (let i = 0; i < 100; i++) pace.failed();
  assert.equal(pace.limit, CONCURRENCY_MIN, "a request that hangs holds up nobody");
  assert.equal(new ConcurrencyLimit(1).limit, 1);
});

Deno.test("a bucket is full at first, gives back at its rate, and never overflows", () => {
  const rate = { perSecond: 2, burst: 5 };
  assert.equal(refill(undefined, rate, 1_000).tokens, 5);
  assert.equal(refill({ tokens: 0, atMs: 1_000 }, rate, 1_500).tokens, 1);
  assert.equal(refill({ tokens: 4, atMs: 1_000 }, rate, 9_000).tokens, 5);
  assert.equal(refill({ tokens: 1, atMs: 9_000 }, rate, 1_000).tokens, 1);
});

Deno.test("Fifo keeps its order however it is filled and emptied", () => {
  const fifo = new Fifo<number>();
  const model: number[] = [];
  for (let i = 0; i < 10_000; i++) {
    if (i % 7 < 4) {
      fifo.push(i);
      model.push(i);
    } else assert.equal(fifo.shift(), model.shift());
    assert.equal(fifo.length, model.length);
    assert.equal(fifo.peek(), model[0]);
  }
  while (model.length > 0) assert.equal(fifo.shift(), model.shift());
  assert.equal(fifo.shift(), undefined);
});
