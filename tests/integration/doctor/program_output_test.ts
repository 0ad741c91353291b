import assert from "node:assert/strict";
import { programOutput } from "../../../src/doctor/program_output.ts";

Deno.test("a program that does not end is not waited for, nor one that is not there", async () => {
  const startMs = performance.now();
  assert.equal(await programOutput("sleep", ["60"], 100), undefined);
  assert.ok(performance.now() - startMs < 30_000);
  assert.equal(await programOutput("secure-iot-gateway-no-program", []), undefined);
  assert.equal(await programOutput("false", []), undefined);
  assert.equal(await programOutput("echo", ["yes"]), "yes\n");
});
