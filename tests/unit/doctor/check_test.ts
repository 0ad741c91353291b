import assert from "node:assert/strict";
import { perform } from "../../../src/doctor/check.ts";

Deno.test("a check that a certificate keeps from being made says so without a library's words", async () => {
  const look = () => {
    throw new Error("client error (Connect): invalid peer certificate: CaUsedAsEndEntity");
  };
  const { status, observed } = await perform({ name: "gateway", look }, {});
  assert.equal(status, "fail");
  assert.match(observed, /^Cannot check: its certificate is one of an authority \(CA:TRUE/);
  assert.doesNotMatch(observed, /CaUsedAsEndEntity/);
});
