import assert from "node:assert/strict";
import { Narrator } from "../../../src/demo/narrator.ts";

const WORDS = "an honest reading gets through and the backend has it ".repeat(4).trimEnd();

function told(tell: (narrator: Narrator) => void): string[] {
  const lines: string[] = [];
  tell(new Narrator({ write: (line) => lines.push(line), colour: false }));
  return lines;
}

Deno.test("prose, claims and quotes fit 80 columns, and lose no word", () => {
  const tellings: ((narrator: Narrator) => void)[] = [
    (narrator) => narrator.tell(WORDS),
    (narrator) => narrator.check(WORDS, true),
    (narrator) => narrator.check(WORDS, false, WORDS),
    (narrator) => narrator.quote(WORDS),
    (narrator) => narrator.quote("x".repeat(300)),
  ];
  for (const tell of tellings) {
    const lines = told(tell);
    assert.ok(lines.length > 1);
    assert.deepEqual(lines.filter((line) => line.length > 80), []);
  }
  const claim = told((narrator) => narrator.check(WORDS, true)).map((line) => line.slice(11));
  assert.equal(claim.join(" "), WORDS);
});

Deno.test("a line that is to be copied stays whole", () => {
  assert.deepEqual(told((narrator) => narrator.command(WORDS)), [`   ${WORDS}`]);
});
