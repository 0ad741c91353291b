import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { fileURLToPath } from "node:url";
import { withFolder } from "../support/with_folder.ts";

const BUILD = fileURLToPath(new URL("../../src/build/compile.ts", import.meta.url));

async function compile(folder: string, environment: Readonly<Record<string, string>>) {
  const { DENORT_BIN: _stub, ...inherited } = Deno.env.toObject();
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-q", "--no-prompt", "-P=build", BUILD, folder],
    clearEnv: true,
    env: { ...inherited, ...environment },
    stdout: "null",
    stderr: "piped",
  }).output();
  return { code, stderr: new TextDecoder().decode(stderr) };
}

Deno.test("compile embeds the program, its permissions and nothing else", async () => {
  await withFolder(async (folder) => {
    const stub = Deno.execPath();
    assert.deepEqual(await compile(folder, { DENORT_BIN: stub }), { code: 0, stderr: "" });
    const names = [...Deno.readDirSync(folder)].map(({ name }) => name).toSorted();
    assert.deepEqual(names, [
      "SHA256SUMS",
      "secure-iot-gateway-aarch64",
      "secure-iot-gateway-x86_64",
      "secure-iot-gateway.cdx.json",
      "secure-iot-gateway.licences.txt",
    ]);
    for (const machine of ["aarch64", "x86_64"]) {
      const path = `${folder}/secure-iot-gateway-${machine}`;
      assert.equal(Deno.statSync(path).mode! & 0o111, 0o111);
      const added = Buffer.from(Deno.readFileSync(path)).subarray(Deno.statSync(stub).size);
      const { permissions, entrypoint_key, node_modules } = metadataIn(added);
      assert.equal(entrypoint_key, "main.js");
      assert.equal(node_modules, null);
      assert.equal(permissions.prompt, false);
      assert.ok(permissions.allow_env.includes("SECURE_IOT_GATEWAY_*"));
      assert.ok(!permissions.allow_env.includes("*"));
      assert.deepEqual(permissions.ignore_env, []); // all others
      assert.deepEqual(permissions.allow_sys, ["uid"]);
      assert.deepEqual([permissions.allow_ffi, permissions.deny_import], [null, []]);
      assert.ok(added.includes("Taking messages from ${"));
      for (const foreign of ["Cannot build with Deno", "Property failed after", "Deno.test("]) {
        assert.ok(!added.includes(foreign), foreign);
      }
    }
  });
});

/** What `deno compile` writes of a program, in the bytes that it adds to the stub. */
function metadataIn(added: Buffer) {
  const start = added.indexOf('{"argv":');
  const text = added.subarray(start).toString("utf8", 0, 65_536);
  return JSON.parse(text.slice(0, endOf(text)));
}

/** The end of the object with which a text begins; no brace stands in its strings. */
function endOf(text: string): number {
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    if (text[at] === "{") depth++;
    if (text[at] === "}" && --depth === 0) return at + 1;
  }
  throw new Error("It has no end");
}

Deno.test("where the stub cannot be had, compile names both ways out and exits 1", async () => {
  await withFolder(async (folder) => {
    const environment = {
      DENO_DIR: cacheWithoutStub(`${folder}/deno`),
      HTTPS_PROXY: "http://127.0.0.1:9",
    };
    const { code, stderr } = await compile(`${folder}/dist`, environment);
    assert.equal(code, 1);
    assert.match(stderr, /^error: Cannot compile for x86_64: Deno's runtime stub is not here/);
    assert.match(stderr, /\nhint: Name a stub with DENORT_BIN, or place it in Deno's cache as \//);
    assert.ok(
      stderr.includes(`${folder}/deno/dl/release/v2.9.5/denort-x86_64-unknown-linux-gnu.zip`),
    );
    assert.ok(!/\.ts:\d/.test(stderr), "no stack trace");
  });
});

/** Deno's cache as it is here, packages and bundler, but for stubs. */
function cacheWithoutStub(folder: string): string {
  const { denoDir } = JSON.parse(new TextDecoder().decode(
    new Deno.Command(Deno.execPath(), { args: ["info", "--json"] }).outputSync().stdout,
  ));
  Deno.mkdirSync(`${folder}/dl`, { recursive: true });
  Deno.symlinkSync(`${denoDir}/npm`, `${folder}/npm`);
  for (const { name } of Deno.readDirSync(`${denoDir}/dl`)) {
    if (name !== "release") Deno.symlinkSync(`${denoDir}/dl/${name}`, `${folder}/dl/${name}`);
  }
  return folder;
}
