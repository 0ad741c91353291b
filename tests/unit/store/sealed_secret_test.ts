import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { isSealed, openSecret, sealingKey, sealSecret } from "../../../src/store/sealed_secret.ts";

const KEY = sealingKey(new Uint8Array(32).fill(7));
const OTHER = sealingKey(new Uint8Array(32).fill(8));
const SECRET = "grüße ☕ supersecretkey123";

Deno.test("a sealed secret opens for its device, under its key, and shows nothing of itself", () => {
  const sealed = sealSecret(SECRET, "sensor_001", KEY);
  assert.match(sealed, /^\$sealed\$1\$[0-9a-f]{12}\$[A-Za-z0-9_-]+$/);
  assert.ok(isSealed(sealed) && !isSealed(SECRET));
  assert.deepEqual(openSecret(sealed, "sensor_001", [OTHER, KEY]), {
    kind: "secret",
    secret: SECRET,
  });
  assert.notEqual(sealSecret(SECRET, "sensor_001", KEY), sealed, "a nonce of its own");
  assert.deepEqual(openSecret(SECRET, "sensor_001", []), { kind: "secret", secret: SECRET });
  const empty = sealSecret("", "sensor_001", KEY);
  assert.deepEqual(openSecret(empty, "sensor_001", [KEY]), { kind: "secret", secret: "" });
});

Deno.test("a sealed secret opens for no other device", () => {
  const sealed = sealSecret(SECRET, "sensor_001", KEY);
  for (const id of ["sensor_002", "SENSOR_001", "sensor_0011", ""]) {
    assert.deepEqual(openSecret(sealed, id, [KEY]), { kind: "damaged" });
  }
});

Deno.test("a sealed secret that is altered in any byte is damaged, or of a foreign key", () => {
  const sealed = sealSecret("s", "a", KEY);
  for (let i = "$sealed$".length; i < sealed.length; i++) {
    for (const letter of ["A", "1", "-", "$", "\n", ""]) {
      if (letter === sealed[i]) continue;
      const altered = sealed.slice(0, i) + letter + sealed.slice(i + 1);
      const opened = openSecret(altered, "a", [KEY]);
      // The last letter has bits that base64 does not use.
      if (opened.kind === "secret") {
        const bytes = (text: string) => Buffer.from(text.split("$")[4]!, "base64url");
        assert.deepEqual(bytes(altered), bytes(sealed), altered);
      }
    }
  }
});

Deno.test("a text that looks sealed is never a secret, whatever its version or key", () => {
  const sealed = sealSecret(SECRET, "a", KEY);
  const foreign: [string, string | undefined][] = [
    [sealSecret(SECRET, "a", OTHER), OTHER.id],
    [sealed.replace("$1$", "$2$"), undefined],
    ["$sealed$", undefined],
    ["$sealed$1$", undefined],
    ["$sealed$anything", undefined],
    [`$sealed$1$${KEY.id.toUpperCase()}x$AAAA`, undefined],
  ];
  for (const [text, keyId] of foreign) {
    assert.deepEqual(openSecret(text, "a", [KEY]), { kind: "foreign_key", keyId }, text);
  }
  for (const tail of ["AAAA", "A".repeat(37)]) { // shorter than nonce and tag together
    assert.deepEqual(openSecret(`$sealed$1$${KEY.id}$${tail}`, "a", [KEY]), { kind: "damaged" });
  }
});

Deno.test("the key's id tells keys apart, and is not made of the key alone", () => {
  assert.match(KEY.id, /^[0-9a-f]{12}$/);
  assert.notEqual(KEY.id, OTHER.id);
});
