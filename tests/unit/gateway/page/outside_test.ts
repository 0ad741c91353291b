import assert from "node:assert/strict";
import { visible } from "../../../../src/gateway/page/assets/outside.js";

Deno.test("what turns, hides or is not seen is written out; letters of all languages stay", () => {
  assert.equal(visible("\u202egpj.exe\u202c"), "\\u202egpj.exe\\u202c");
  assert.equal(
    visible("a\u0007\u001b[31m\u200b\ufeff\u2028"),
    "a\\u0007\\u001b[31m\\u200b\\ufeff\\u2028",
  );
  assert.equal(visible("\u{e0041}"), "\\u{e0041}");
  assert.equal(visible("\ud83d"), "\\ud83d");
  assert.equal(visible("Grüße, مرحبا, 温度 🌡"), "Grüße, مرحبا, 温度 🌡");
});

Deno.test("line breaks stay only if they are wanted", () => {
  assert.equal(visible("a\n\tb"), "a\\u000a\\u0009b");
  assert.equal(visible("a\n\tb\r", { keepBreaks: true }), "a\n\tb\\u000d");
});
