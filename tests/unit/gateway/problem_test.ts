import assert from "node:assert/strict";
import { problem } from "../../../src/gateway/api/problem.ts";

Deno.test("problem() answers with its status, its type, and what to do about it", async () => {
  const response = problem("broker-unavailable");
  assert.equal(response.status, 503);
  assert.equal(response.headers.get("content-type"), "application/problem+json");
  assert.deepEqual(await response.json(), {
    type: "urn:secure-iot-gateway:problem:broker-unavailable",
    title: "The broker did not take the command",
    status: 503,
    detail: "Nothing was sent; try again",
  });
});

Deno.test("problem() takes a detail in place of the hint, and more headers", async () => {
  const response = problem("too-many-wrong-keys", {
    detail: "Wait for 7 s",
    headers: { "retry-after": "7" },
  });
  assert.equal(response.headers.get("retry-after"), "7");
  assert.equal(response.headers.get("content-type"), "application/problem+json");
  const { status, detail } = await response.json();
  assert.deepEqual([status, detail], [429, "Wait for 7 s"]);
});
