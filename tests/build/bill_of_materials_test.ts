import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { reachablePackages, renderBill } from "../../src/build/bill_of_materials.ts";
import { bundleProgram, ROOT } from "../../src/build/bundle.ts";
import { outputOf } from "../../src/build/tool.ts";

Deno.test("the bill names every package in the bundle, with the integrity that the lock file has", async () => {
  const packages = await reachablePackages();
  const { npm } = JSON.parse(Deno.readTextFileSync("deno.lock"));
  for (const { name, version, purl, integrity, licence } of packages) {
    assert.match(licence, /^(MIT|Apache-2\.0|BSD-3-Clause|ISC|0BSD)$/, name);
    // One that needs another in a certain version says so behind an underscore.
    const key = Object.keys(npm).find((one) => `${one}_`.startsWith(`${name}@${version}_`));
    assert.equal(integrity, npm[key!].integrity, name);
    assert.equal(purl, `pkg:npm/${name.replace("@", "%40")}@${version}`);
  }
  const listed = new Set(packages.map(({ name, version }) => `${name}/${version}`));
  const bundled = (await bundledModules()).flatMap((path) =>
    /\/npm\/[^/]+\/((?:@[^/]+\/)?[^/]+\/[^/]+)\//.exec(path)?.[1] ?? []
  );
  assert.ok(bundled.length > 100);
  for (const name of bundled) assert.ok(listed.has(name), `${name} is not in the bill`);
});

Deno.test("what only tests use is neither in the bill nor in the bundle", async () => {
  const { npm } = JSON.parse(Deno.readTextFileSync("deno.lock"));
  assert.ok(Object.keys(npm).some((key) => key.startsWith("fast-check@")));
  const names = (await reachablePackages()).map(({ name }) => name);
  assert.ok(!names.includes("fast-check"));
  const ours = (await bundledModules()).filter((path) => !path.includes("/npm/"));
  assert.ok(ours.includes("main.ts") && ours.includes("src/gateway/gateway.ts"));
  for (const path of ours) {
    assert.match(path, /^(main\.ts|deno\.json|src\/.*|mosquitto\/.*|docs\/openapi\.json)$/);
    assert.doesNotMatch(path, /^src\/build\//);
  }
});

/** The path of every module in the bundle: one that is not minified names them. */
async function bundledModules(): Promise<string[]> {
  const bundle = new TextDecoder().decode(
    await outputOf(Deno.execPath(), ["bundle", "-q", "main.ts"], { cwd: ROOT }),
  );
  return [...bundle.matchAll(/^\/\/ (\S+\.\w+)$/gm)].map(([, path]) => path!);
}

Deno.test("the bundle says nothing of the machine that it was made on", async () => {
  const bundle = await bundleProgram("feedfacecafe");
  const { denoDir } = JSON.parse(new TextDecoder().decode(
    (await new Deno.Command(Deno.execPath(), { args: ["info", "--json"] }).output()).stdout,
  ));
  for (const place of [denoDir, denoDir.slice(1), Deno.cwd()]) {
    assert.ok(!bundle.includes(place), place);
  }
  assert.equal(bundle.split("feedfacecafe").length, 2);
});

Deno.test("the bundle is held in memory as one byte for each character, and has its licences", async () => {
  const bundle = await bundleProgram("feedfacecafe");
  assert.doesNotMatch(bundle, /[\u0100-\uffff]/, "or the engine would take two");
  assert.match(bundle, /Copyright \(c\) Peculiar Ventures/);
});

Deno.test("the bill is CycloneDX: hashes in hex, every reference known, the same bytes each time", () => {
  const digest = new Uint8Array(64).fill(0xab);
  const part = {
    name: "@scope/part",
    version: "1.2.3",
    purl: "pkg:npm/%40scope/part@1.2.3",
    integrity: `sha512-${Buffer.from(digest).toString("base64")}`,
    licence: "MIT",
    licenceText: "MIT License",
    dependsOn: [],
  };
  const text = renderBill("feedfacecafe", [part]);
  assert.equal(renderBill("feedfacecafe", [part]), text);
  const bill = JSON.parse(text);
  assert.deepEqual([bill.bomFormat, bill.specVersion, bill.version], ["CycloneDX", "1.5", 1]);
  assert.match(
    bill.serialNumber,
    /^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/,
  );
  assert.deepEqual(bill.components[0].hashes, [{ alg: "SHA-512", content: "ab".repeat(64) }]);
  assert.deepEqual(bill.components[0].licenses, [{ expression: "MIT" }]);
  const known = [bill.metadata.component, ...bill.components].map((one) => one["bom-ref"]);
  for (const { ref, dependsOn } of bill.dependencies) {
    for (const name of [ref, ...dependsOn]) assert.ok(known.includes(name), name);
  }
});
