import assert from "node:assert/strict";
import description from "../../docs/openapi.json" with { type: "json" };
import { bundleProgram } from "../../src/build/bundle.ts";

Deno.test("the packed program holds the API's description, all of it", async () => {
  const program = await bundleProgram("000000000000");
  for (const [path, item] of Object.entries(description.paths)) {
    assert.ok(program.includes(path), path);
    for (const { operationId, summary } of Object.values(item)) {
      assert.ok(program.includes(operationId), operationId);
      assert.ok(program.includes(summary), summary);
    }
  }
  assert.ok(program.includes(description.info.description));
});
