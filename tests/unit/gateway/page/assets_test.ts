import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { ASSETS } from "../../../../src/gateway/page/assets.ts";

/** Most that a browser has to fetch, compressed, file by file. */
const PAGE_MAX_BYTES = 49_152;

/** Most of it that is not ours. */
const PACKAGES_MAX_BYTES = 8_192;

function textOf(name: string): string {
  return ASSETS[name]![0];
}

Deno.test("every file that a browser is told of is there, and nothing is fetched from anywhere else", () => {
  for (const [name, [text]] of Object.entries(ASSETS)) {
    const told = [...text.matchAll(/(?:\bfrom|\bimport|\bhref=|\bsrc=) ?"(\.?\/[^"]+)"/g)];
    for (const [, address] of told) {
      const file = new URL(address!, `https://gateway/ui/assets/${name}`).pathname;
      assert.ok(file.slice("/ui/assets/".length) in ASSETS, `${name} asks for ${address}`);
    }
    const bare = /^(?:import|export) [^;]*\bfrom ?"(?![./])[^"]*"/m.exec(text);
    assert.equal(bare?.[0], undefined, name);
    const elsewhere = text.replaceAll("http://www.w3.org/", "").match(/\bhttps?:\/\/[^\s"'`]+/);
    assert.equal(elsewhere?.[0], undefined, name);
  }
});

Deno.test("nothing in the page is what its content policy forbids", () => {
  const html = textOf("index.html");
  assert.doesNotMatch(html, /<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon\w+=/);
  for (const [name, [text]] of Object.entries(ASSETS)) {
    if (name.startsWith("vendor/") || !name.endsWith(".js")) continue;
    assert.doesNotMatch(
      text,
      /\binnerHTML\b|\bouterHTML\b|insertAdjacentHTML|document\.write/,
      name,
    );
    assert.doesNotMatch(text, /\beval\(|new Function|\bstyle="/, name);
  }
});

Deno.test(`a browser fetches at most ${PAGE_MAX_BYTES} bytes, ${PACKAGES_MAX_BYTES} of packages`, () => {
  const bytesOf = (names: readonly string[]) =>
    names.map((name) => gzipSync(textOf(name)).length).reduce((sum, bytes) => sum + bytes, 0);
  const names = Object.keys(ASSETS);
  const all = bytesOf(names);
  const packages = bytesOf(names.filter((name) => name.startsWith("vendor/")));
  assert.ok(all <= PAGE_MAX_BYTES, `${all} bytes`);
  assert.ok(packages <= PACKAGES_MAX_BYTES, `${packages} bytes of packages`);
});
