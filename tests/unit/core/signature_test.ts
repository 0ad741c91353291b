import assert from "node:assert/strict";
import fc from "fast-check";
import { importSecret, SecretKey, sign, verify } from "../../../src/core/signature.ts";

/** What Web Crypto makes of the same. */
async function ofWebCrypto(key: Uint8Array, input: Uint8Array): Promise<string> {
  const hmac = { name: "HMAC", hash: "SHA-256" };
  const imported = await crypto.subtle.importKey("raw", new Uint8Array(key), hmac, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", imported, new Uint8Array(input))).toHex();
}

Deno.test("any input under any key has the signature that Web Crypto gives it", async () => {
  const key = fc.uint8Array({ minLength: 1, maxLength: 200 });
  const input = fc.uint8Array({ maxLength: 5_000 });
  await fc.assert(fc.asyncProperty(key, input, async (bytes, text) => {
    const signature = await ofWebCrypto(bytes, text);
    const own = new SecretKey(bytes);
    assert.equal(sign(own, text), signature);
    assert.ok(verify(own, text, Uint8Array.fromHex(signature)));
  }));
});

Deno.test("keys and inputs around a block, and inputs around the buffer, are signed alike", async () => {
  for (const keyLength of [1, 63, 64, 65, 128]) {
    for (const length of [0, 1, 55, 56, 64, 4_031, 4_032, 4_033, 65_536]) {
      const [key, input] = [new Uint8Array(keyLength).fill(7), new Uint8Array(length).fill(9)];
      const own = sign(new SecretKey(key), input);
      assert.equal(own, await ofWebCrypto(key, input), `${keyLength}, ${length}`);
    }
  }
});

Deno.test("one bit more or less is no signature, nor is one of another length", () => {
  const key = importSecret("supersecretkey123")!;
  const input = new TextEncoder().encode("text");
  const right = Uint8Array.fromHex(sign(key, input));
  for (let bit = 0; bit < 256; bit++) {
    const wrong = right.with(bit >> 3, right[bit >> 3]! ^ 1 << (bit & 7));
    assert.equal(verify(key, input, wrong), false, `${bit}`);
  }
  assert.equal(verify(key, input, right.subarray(1)), false);
  assert.equal(verify(key, input, new Uint8Array()), false);
  assert.equal(verify(key, input, new Uint8Array([...right, 0])), false);
});

Deno.test("a key shows nothing of itself, and an empty text is none", () => {
  const key = importSecret("supersecretkey123")!;
  assert.equal(JSON.stringify(key), "{}");
  assert.equal(Deno.inspect(key, { showHidden: true }), "SecretKey {}");
  assert.deepEqual(Reflect.ownKeys(key), []);
  assert.equal(importSecret(""), undefined);
  assert.throws(() => new SecretKey(new Uint8Array()), RangeError);
});
