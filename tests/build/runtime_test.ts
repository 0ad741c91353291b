import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { fetchRuntime, requirePinnedDeno, type Runtime } from "../../src/build/runtime.ts";
import { withFolder } from "../support/with_folder.ts";

function runtime(content: string, packageName: string): Runtime {
  const integrity = `sha512-${createHash("sha512").update(content).digest("base64")}`;
  return { machine: "x86_64", packageName, integrity };
}

Deno.test("a runtime in the cache is taken only where it has the pinned integrity", async () => {
  await withFolder(async (folder) => {
    const cached = `${folder}/none-such-2.9.5.tgz`;
    const expected = runtime("genuine", "@none/such");
    Deno.writeTextFileSync(cached, "genuine");
    assert.deepEqual(await fetchRuntime(expected, folder), new TextEncoder().encode("genuine"));
    Deno.writeTextFileSync(cached, "genuin3");
    await assert.rejects(fetchRuntime(expected, folder), /Cannot download @none\/such@2\.9\.5/);
  });
});

Deno.test("a runtime that npm brings with another integrity is refused and not kept", async () => {
  await withFolder(async (folder) => {
    const source = `${folder}/forged@2.9.5`; // npm packs a folder as it would a download
    Deno.mkdirSync(source);
    Deno.writeTextFileSync(`${source}/package.json`, '{"name":"forged","version":"2.9.5"}');
    const forged = runtime("genuine", `${folder}/forged`);
    const cache = `${folder}/cache`;
    await assert.rejects(fetchRuntime(forged, cache), /has another integrity than the pinned one/);
    assert.deepEqual([...Deno.readDirSync(cache)], []);
  });
});

Deno.test("another Deno than the pinned one does not build", () => {
  requirePinnedDeno();
  assert.throws(() => requirePinnedDeno("2.9.6"), /Cannot build with Deno 2\.9\.6: it must be/);
});
