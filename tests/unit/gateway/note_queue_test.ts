import assert from "node:assert/strict";
import { NoteQueue, NOTES_MAX } from "../../../src/gateway/pipeline/note_queue.ts";

const NOTE = { at: 1, event: "command_accepted", subject: "sensor_001", detail: "", count: 1 };

Deno.test("notes wait until they are on the disk, and what does not fit is entered as a count", () => {
  const queue = new NoteQueue();
  for (let i = 0; i < NOTES_MAX + 7; i++) queue.add(NOTE);
  const notes = queue.waiting();
  assert.equal(notes.length, NOTES_MAX);
  assert.deepEqual(queue.waiting(), notes, "a commit that failed is tried again");
  queue.written(notes);
  const [overflow, ...more] = queue.waiting();
  assert.partialDeepStrictEqual(overflow, { event: "audit_overflow", count: 7 });
  assert.deepEqual(more, []);
  queue.written([overflow!]);
  assert.ok(queue.isEmpty);
});
