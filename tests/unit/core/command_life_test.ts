/** The life of a command: every step, and that no step claims more than is known. */

import { array, assert as check, constantFrom, property } from "fast-check";
import assert from "node:assert/strict";
import {
  acknowledged,
  ACKNOWLEDGED_STATES,
  type AcknowledgedState,
  cancelled,
  type Command,
  copyConcluded,
  copyIntended,
  copyTimestamp,
  isFinal,
  maySend,
  retryPauseMs,
  timedOut,
} from "../../../src/core/command_life.ts";
import { ACCEPTED, wordOf } from "../../support/sample_command.ts";

const NOW = ACCEPTED.createdSeconds;
const sent = copyIntended(ACCEPTED, NOW);

Deno.test("a command is sent before its copy is published", () => {
  assert.equal(sent.state, "sent");
  assert.deepEqual([sent.sends, sent.copies, sent.lastSentSeconds], [1, 1, NOW]);
});

Deno.test("a copy that nobody had is none", () => {
  for (const outcome of ["no_subscriber", "unsent"] as const) {
    const concluded = copyConcluded(sent, outcome);
    assert.deepEqual([concluded.state, concluded.copies], ["waiting", 0]);
  }
});

Deno.test("a second copy that nobody had leaves the first where it may be", () => {
  const twice = copyIntended(copyConcluded(sent, "queued"), NOW + 1);
  assert.equal(copyConcluded(twice, "no_subscriber").state, "sent");
});

Deno.test("what nobody knows stays sent", () => {
  assert.equal(copyConcluded(sent, "unknown").state, "sent");
});

Deno.test("a device that speaks before the broker is not taken back", () => {
  const done = acknowledged(sent, wordOf("done"));
  assert.equal(copyConcluded(done, "queued").state, "done");
  assert.equal(copyConcluded(done, "no_subscriber").state, "done");
});

Deno.test("the device's word only moves forward, and the first final one stays", () => {
  const running = acknowledged(sent, wordOf("running"));
  assert.equal(acknowledged(running, wordOf("received")), running);
  const failed = acknowledged(running, wordOf("failed"));
  assert.equal(acknowledged(failed, wordOf("done")), failed);
  assert.equal(acknowledged(failed, wordOf("running")), failed);
});

Deno.test("a late word counts, but not a word on what was never sent", () => {
  assert.equal(acknowledged(timedOut(sent), wordOf("done")).state, "done");
  assert.equal(acknowledged(timedOut(sent), wordOf("running")).state, "unconfirmed");
  assert.equal(acknowledged(timedOut(ACCEPTED), wordOf("done")).state, "expired");
});

Deno.test("what waits is cancelled, and of what was sent no more copies go", () => {
  assert.equal(cancelled(ACCEPTED).state, "cancelled");
  const withdrawn = cancelled(sent);
  assert.deepEqual([withdrawn.state, withdrawn.withdrawn], ["sent", true]);
  assert.equal(maySend(withdrawn, NOW), false);
  assert.equal(copyConcluded(withdrawn, "no_subscriber").state, "cancelled");
  assert.equal(acknowledged(withdrawn, wordOf("done")).state, "done");
});

Deno.test("a copy is valid until the command expires, and never beyond the tolerance", () => {
  const timestamp = (leftSeconds: number) =>
    copyTimestamp({ expiresSeconds: NOW + leftSeconds }, {
      nowSeconds: NOW,
      toleranceSeconds: 300,
    });
  assert.equal(timestamp(60), NOW - 240);
  assert.equal(timestamp(300), NOW);
  assert.equal(timestamp(3600), NOW);
});

/** Steps that the world may take in any order. */
const STEPS: Readonly<Record<string, (command: Command) => Command>> = {
  send: (command) => maySend(command, NOW) ? copyIntended(command, NOW) : command,
  queued: (command) => command.copies > 0 ? copyConcluded(command, "queued") : command,
  nobody: (command) => command.copies > 0 ? copyConcluded(command, "no_subscriber") : command,
  unknown: (command) => copyConcluded(command, "unknown"),
  cancel: cancelled,
  end: timedOut,
  ...Object.fromEntries(
    ACKNOWLEDGED_STATES.map((state: AcknowledgedState) => [
      state,
      (command: Command) => acknowledged(command, wordOf(state)),
    ]),
  ),
};

Deno.test("whatever happens: final stays final, and what may be with the device is never waiting", () => {
  const steps = array(constantFrom(...Object.keys(STEPS)), { maxLength: 30 });
  check(property(steps, (names) => {
    let command: Command = ACCEPTED;
    for (const name of names) {
      const next = STEPS[name]!(command);
      if (isFinal(command) && command.state !== "unconfirmed") {
        assert.equal(next.state, command.state);
      }
      if (next.copies > 0) assert.notEqual(next.state, "waiting");
      if (next.state === "expired") assert.equal(next.copies, 0);
      command = next;
    }
  }));
});

Deno.test("a device that is not there is tried at growing pauses, longer where there are many", () => {
  const pauses = [0, 1, 2, 3, 4, 5, 2_000].map((failures) =>
    retryPauseMs({ failures, devices: 1 })
  );
  assert.deepEqual(pauses, [5_000, 5_000, 10_000, 20_000, 40_000, 60_000, 60_000]);
  const longest = (devices: number) => retryPauseMs({ failures: 99, devices });
  assert.deepEqual([longest(1_920), longest(10_000)], [60_000, 312_500], "32 tries a second");
});
