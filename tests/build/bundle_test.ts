import assert from "node:assert/strict";
import description from "../../docs/openapi.json" with { type: "json" };
import { ASSETS } from "../../src/gateway/page/assets.ts";
import { bundleProgram } from "../../src/build/bundle.ts";

Deno.test("the packed program holds the page's files, all of them", async () => {
  const program = await bundleProgram("000000000000");
  for (const [name, [text]] of Object.entries(ASSETS)) {
    const longest = text.split(/[^\w .,:;(){}=-]/).toSorted((a, b) => b.length - a.length)[0]!;
    assert.ok(program.includes(longest.trim()), `${name}: ${longest}`);
  }
});

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
