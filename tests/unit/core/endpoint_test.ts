import assert from "node:assert/strict";
import { Endpoint, shownUrl } from "../../../src/core/endpoint.ts";

const NAMES = { deviceId: "line.1-a", messageId: "550e8400-e29b-41d4-a716-446655440000" };

Deno.test("a reading's URL is made of the base, the path and both queries", () => {
  const cases: readonly (readonly [url: string, path: string, expected: string])[] = [
    ["http://x", "/device/{device_id}/data", "http://x/device/line.1-a/data"],
    ["http://x:1/", "/device/{device_id}/data", "http://x:1/device/line.1-a/data"],
    ["https://x/base//", "/in", "https://x/base/in"],
    ["https://x/base?a=1", "/in", "https://x/base/in?a=1"],
    ["https://x/?a=1", "/in?b={device_id}", "https://x/in?a=1&b=line.1-a"],
    [
      "https://x",
      "/{message_id}?d={device_id}&d={device_id}",
      `https://x/${NAMES.messageId}?d=line.1-a&d=line.1-a`,
    ],
  ];
  for (const [url, path, expected] of cases) {
    assert.equal(new Endpoint(url, path).of(NAMES), expected);
  }
});

Deno.test("a URL is shown without its query, which may have a key in it", () => {
  assert.equal(shownUrl("https://x/base?key=s3cr3t"), "https://x/base");
  assert.equal(shownUrl("https://x"), "https://x");
});
