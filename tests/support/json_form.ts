/** The form that every `--json` has: see src/cli/json_output.ts. */

import assert from "node:assert/strict";

const NAME = /^[a-z][a-z0-9_]*$/;
const TIME_NAME = /(^|_)(at|until|since|after|time)$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;

/** Checks all names in a document, and all times; `what` names what printed it. */
export function assertJsonForm(value: unknown, what: string): void {
  assert.ok(typeof value === "object" && value !== null, `${what}: neither an object nor a list`);
  assertForm(value, what);
}

function assertForm(value: unknown, place: string): void {
  if (Array.isArray(value)) {
    for (const [i, one] of value.entries()) assertForm(one, `${place}[${i}]`);
  } else if (typeof value === "object" && value !== null) {
    for (const [name, one] of Object.entries(value)) {
      assert.match(name, NAME, place);
      // The audit log's is in what is hashed.
      const isTime = TIME_NAME.test(name) && !(name === "at" && typeof one === "number");
      if (isTime && one !== null) assert.match(String(one), TIME, `${place}.${name}`);
      assertForm(one, `${place}.${name}`);
    }
  }
}
