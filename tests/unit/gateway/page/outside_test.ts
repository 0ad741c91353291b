import assert from "node:assert/strict";
import { clipped, visible } from "../../../../src/gateway/page/assets/outside.js";

Deno.test("what turns, hides or is not seen is written out; letters of all languages stay", () => {
  assert.equal(visible("\u202egpj.exe\u202c"), "\\u202egpj.exe\\u202c");
  assert.equal(
    visible("a\u0007\u001b[31m\u200b\ufeff\u2028"),
    "a\\u0007\\u001b[31m\\u200b\\ufeff\\u2028",
  );
  assert.equal(visible("\u{e0041}"), "\\u{e0041}");
  assert.equal(visible("\ud83d"), "\\ud83d");
  for (const blank of ["\u3164", "\uffa0", "\u115f", "\u034f", "\ufe0f", "\u2800"]) {
    const written = `\\u${blank.charCodeAt(0).toString(16).padStart(4, "0")}`;
    assert.equal(visible(`well_001${blank}`), `well_001${written}`);
  }
  const pile = "\u0301".repeat(6);
  assert.equal(visible(`a${pile}`), `a${pile.slice(0, 4)}\\u0301\\u0301`);
  assert.equal(visible("नमस्ते, ที่นี่, שָׁלוֹם"), "नमस्ते, ที่นี่, שָׁלוֹם");
  assert.equal(visible("Grüße, مرحبا, 温度 🌡"), "Grüße, مرحبا, 温度 🌡");
});

Deno.test("line breaks stay only if they are wanted", () => {
  assert.equal(visible("a\n\tb"), "a\\u000a\\u0009b");
  assert.equal(visible("a\n\tb\r", { keepBreaks: true }), "a\n\tb\\u000d");
});

Deno.test("a text is clipped between two characters", () => {
  assert.equal(clipped("abcd", 2), "ab…");
  assert.equal(clipped("a🌡b", 2), "a…");
  assert.equal(clipped("a🌡b", 3), "a🌡…");
});
