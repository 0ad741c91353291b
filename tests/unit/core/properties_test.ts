import assert from "node:assert/strict";
import fc from "fast-check";
import { readEnvelope } from "../../../src/core/envelope.ts";
import { compactJson, FAULT, JsonScanner } from "../../../src/core/json_scanner.ts";
import { readJsonText } from "../../../src/core/json_text.ts";
import { REJECTION_CODES } from "../../../src/core/rejection.ts";
import { judge, message, outcomeOf } from "../../support/judge.ts";

const UTF_8 = new TextEncoder();
const text = (bytes: Uint8Array) => new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);

/** The text that a verdict lets through; undefined where it lets nothing through. */
async function acceptedText(bytes: Uint8Array): Promise<string | undefined> {
  const verdict = await judge(bytes);
  return verdict.kind === "accepted" ? text(verdict.payload) : undefined;
}

Deno.test("any bytes give a verdict, and never a throw", async () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 600 }),
    fc.string({ unit: "binary" }).map((text) => UTF_8.encode(text)),
    fc.json().map((text) => UTF_8.encode(text)),
  );
  await fc.assert(
    fc.asyncProperty(bytes, async (bytes) => {
      const outcome = outcomeOf(await judge(bytes));
      assert.ok((REJECTION_CODES as readonly string[]).includes(outcome), outcome);
    }),
    { numRuns: 2_000 },
  );
});

Deno.test("no mutated message is ever accepted as anything but what was signed", async () => {
  const payload = '{"temperature":22.50,"tags":["a b","\\u00e9"],"n":12345678901234567890}';
  const original = UTF_8.encode(await message(payload));
  const place = fc.nat({ max: original.length - 1 });
  const mutation = fc.oneof(
    fc.record({ kind: fc.constant("flip"), at: place, byte: fc.integer({ min: 1, max: 255 }) }),
    fc.record({ kind: fc.constant("insert"), at: place, byte: fc.nat({ max: 255 }) }),
    fc.record({ kind: fc.constant("delete"), at: place, byte: fc.integer({ min: 1, max: 9 }) }),
    fc.record({ kind: fc.constant("cut"), at: place, byte: fc.constant(0) }),
    fc.record({ kind: fc.constant("copy"), at: place, byte: fc.integer({ min: 1, max: 60 }) }),
  );
  let refused = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(mutation, { minLength: 1, maxLength: 3 }), async (mutations) => {
      const mutant = mutations.reduce(mutate, [...original]);
      const accepted = await acceptedText(Uint8Array.from(mutant));
      // White space between tokens and the case of hex digits are not signed: such a mutant still
      // carries exactly the signed text, and nothing else may.
      assert.ok(accepted === undefined || accepted === payload, `accepted: ${accepted}`);
      if (accepted === undefined) refused++;
    }),
    { numRuns: 5_000 },
  );
  assert.ok(refused > 4_000, `only ${refused} of 5000 mutants were refused`);
});

function mutate(bytes: number[], { kind, at, byte }: { kind: string; at: number; byte: number }) {
  const before = bytes.slice(0, at);
  switch (kind) {
    case "flip":
      return bytes.map((old, i) => i === at ? old ^ byte : old);
    case "insert":
      return [...before, byte, ...bytes.slice(at)];
    case "delete":
      return [...before, ...bytes.slice(at + byte)];
    case "copy":
      return [...before, ...bytes.slice(at, at + byte), ...bytes.slice(at)];
    default:
      return before;
  }
}

Deno.test("scan and slice return the signed text of any JSON, byte for byte", async () => {
  const spaces = fc.constantFrom("", " ", "\n", "\r\n", "\t", "   ");
  await fc.assert(
    fc.asyncProperty(fc.json(), spaces, fc.nat({ max: 2 }), async (payload, space, indent) => {
      const compact = await message(payload);
      assert.equal(await acceptedText(UTF_8.encode(compact)), payload);
      const spaced = compact.replace('"payload":', `"payload":${space}`).replace(
        ',"signature"',
        `${space},${space}"signature"`,
      );
      assert.equal(await acceptedText(UTF_8.encode(spaced)), payload);
      const pretty = JSON.stringify(JSON.parse(payload), null, indent);
      const asItStands = await message(pretty);
      assert.equal(await acceptedText(UTF_8.encode(asItStands)), pretty);
    }),
    { numRuns: 1_000 },
  );
});

Deno.test("the scanner takes exactly what JSON.parse takes", () => {
  const almostJson = fc.tuple(
    fc.json(),
    fc.nat(),
    fc.constantFrom(...'{}[]":,0-.eE+\\ /tfn\u0001é'),
  )
    .map(([json, at, character]) => {
      const place = at % (json.length + 1);
      return json.slice(0, place) + character + json.slice(place + (at % 2));
    });
  fc.assert(
    fc.property(fc.oneof(fc.json(), almostJson), (json) => {
      const bytes = UTF_8.encode(json);
      const scanner = new JsonScanner(bytes, 1_000);
      const end = scanner.value(scanner.space(0));
      const taken = end !== FAULT && scanner.space(end) === bytes.length;
      assert.equal(taken, parses(json), json);
    }),
    { numRuns: 5_000 },
  );
});

Deno.test("compactJson() takes white space out and changes nothing else", () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.integer({ min: 0, max: 4 }), (value, indent) => {
      const pretty = UTF_8.encode(JSON.stringify(value, null, indent));
      assert.equal(text(compactJson(pretty)), JSON.stringify(value));
      const read = readJsonText(pretty, 1_000);
      assert.equal(read.ok && text(read.compact), JSON.stringify(value));
    }),
    { numRuns: 1_000 },
  );
});

Deno.test("readEnvelope() ends at any depth of nesting", () => {
  for (const open of ["[", '{"a":']) {
    const read = readEnvelope(UTF_8.encode(open.repeat(60_000 / open.length)));
    assert.equal(read.kind, "rejected");
  }
});

function parses(json: string): boolean {
  try {
    JSON.parse(json);
    return true;
  } catch {
    return false;
  }
}
