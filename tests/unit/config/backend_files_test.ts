import assert from "node:assert/strict";
import { readHeaderFields, readSigningKeys } from "../../../src/config/backend_files.ts";

Deno.test("header fields are lines, and what the gateway sets is refused by name", () => {
  const text = "# token\r\nAuthorization: Bearer a:b=\r\n\n X-Api-Key :  k \n";
  assert.deepEqual(readHeaderFields(text), {
    ok: true,
    value: [["Authorization", "Bearer a:b="], ["X-Api-Key", "k"]],
  });
  const reserved = [
    ...["Host", "content-type", "Content-Length", "Transfer-Encoding", "CONNECTION", "TE"],
    ...["Idempotency-Key", "Webhook-Id", "webhook-x", "X-Device-Timestamp", "X-Gateway-Late"],
    ...["Accept-Encoding", "Expect", "Upgrade"],
  ];
  for (const name of reserved) {
    const result = readHeaderFields(`A: 1\n${name}: s3cr3t`);
    assert.deepEqual(result, {
      ok: false,
      faults: [`line 2: ${name} is set by the gateway, it cannot be here`],
    });
  }
});

Deno.test("what is no header field is named with its line, never with its value", () => {
  const bad = [
    "s3cr3t",
    ": s3cr3t",
    "A B: s3cr3t",
    "A:",
    "A: s3cr3t\u0000",
    "A: s3cr3té",
    "A: 1\na: s3cr3t",
  ];
  for (const text of [...bad, `A: ${"s3cr3t".repeat(2_000)}`]) {
    const result = readHeaderFields(text);
    assert.ok(!result.ok, text);
    assert.match(result.faults[0]!, /^line \d: /);
    assert.doesNotMatch(result.faults.join(), /s3cr3t/);
  }
});

Deno.test("a signing key has its prefix and 24 to 64 bytes; there are one or two", () => {
  const key = (bytes: number) => `whsec_${new Uint8Array(bytes).toBase64()}`;
  for (const bytes of [24, 32, 64]) {
    const result = readSigningKeys(`${key(bytes)}\n`);
    assert.ok(result.ok && result.value[0]?.length === bytes);
  }
  assert.ok(readSigningKeys(`${key(24)}\n${key(24)}`).ok);
  const bad = ["", key(23), key(65), key(32).slice(6), "whsec_???", `${key(24)}\n`.repeat(3)];
  for (const text of bad) assert.ok(!readSigningKeys(text).ok, text);
});
