import assert from "node:assert/strict";
import {
  checkCommands,
  type CommandCopy,
  type CommandEvidence,
  type CommandFigures,
  type CommandReport,
  type Wish,
} from "./command_checker.ts";

const LONG = 3600;

/** Two devices, one of which acknowledges, with two commands each; all went well. */
function rightEvidence(): CommandEvidence {
  const names = ["ack", "plain"].flatMap((deviceId, i) =>
    [0, 1].map((k) => ({ deviceId, n: 2 * i + k, messageId: `${deviceId}-${k}` }))
  );
  const copies = names.map((name): CommandCopy => ({ ...name, timestamp: 1000, atMs: 50 }));
  const words = ["ack-0", "ack-1"].flatMap((messageId) =>
    (["received", "done"] as const).map((state, i) => ({ messageId, state, atMs: 51 + i }))
  );
  const told = names.flatMap(({ messageId, deviceId }) => [
    { messageId, state: "sent" as const },
    ...deviceId === "ack" ? [{ messageId, state: "done" as const }] : [],
  ]);
  return {
    wishes: names.map(({ deviceId, n, messageId }): Wish => ({
      ...{ deviceId, n, ttlSeconds: LONG, hasKey: true, isCancelled: false },
      answers: [{ status: 202, messageId, timestamp: 1000, delivery: "queued" }],
    })),
    ...{ copies, executed: copies, words, callbacks: told, toTell: [] },
    reports: [
      report("ack-0", "waiting", 10, 49),
      report("ack-0", "sent", 49, 52),
      report("ack-0", "received", 52, 53),
      report("ack-0", "done", 53, 60),
    ],
    kept: names.map(({ messageId, deviceId }) => (
      { messageId, deviceId, state: deviceId === "ack" ? "done" : "sent" }
    )),
    acknowledgers: new Set(["ack"]),
    longSeconds: LONG,
  };
}

function report(
  messageId: string,
  state: CommandReport["state"],
  fromMs: number,
  untilMs: number,
): CommandReport {
  return { messageId, state, fromMs, untilMs };
}

/** The evidence with one wish changed. */
function withWish(n: number, change: Partial<Wish>, over: Partial<CommandEvidence> = {}) {
  const evidence = { ...rightEvidence(), ...over };
  return {
    ...evidence,
    wishes: evidence.wishes.map((one) => one.n === n ? { ...one, ...change } : one),
  };
}

const NOTHING_WRONG = { lost: 0, executedTwice: 0, falseClaims: 0 };

/** Says that exactly these counts are not 0, and that the words say so too. */
function assertFaults(
  { lost, executedTwice, falseClaims, violations }: CommandFigures,
  expected: Partial<typeof NOTHING_WRONG>,
  words: RegExp,
): void {
  const counts = { lost, executedTwice, falseClaims };
  assert.deepEqual(counts, { ...NOTHING_WRONG, ...expected }, violations.join("\n"));
  assert.ok(violations.some((text) => words.test(text)), violations.join("\n"));
}

Deno.test("checkCommands() passes what is right", () => {
  const figures = checkCommands(rightEvidence());
  assert.deepEqual(figures, {
    ...{ asked: 4, accepted: 4, repeated: 0, copies: 4, executed: 4, reports: 10, unknown: 0 },
    ...NOTHING_WRONG,
    violations: [],
  });
});

Deno.test("checkCommands() fails on a command that was accepted and never executed", () => {
  const evidence = rightEvidence();
  const executed = evidence.executed.slice(1);
  const lost = { ...evidence, executed };
  assertFaults(checkCommands(lost), { lost: 1 }, /^accepted, and never executed: number 0 of ack$/);
  // Its time was short, it was cancelled, or its device says nothing: nobody can know.
  for (const change of [{ ttlSeconds: 5 }, { isCancelled: true }, { ttlSeconds: undefined }]) {
    assert.equal(checkCommands(withWish(0, change, { executed })).lost, 0);
  }
  const plain = { ...evidence, executed: evidence.executed.slice(0, 3) };
  assert.equal(checkCommands(plain).lost, 0);
});

Deno.test("checkCommands() fails on a command without a record", () => {
  const { kept, ...evidence } = rightEvidence();
  const figures = checkCommands({ ...evidence, kept: kept.slice(1) });
  assertFaults(figures, {}, /^accepted, and without a record: ack-0$/);
});

Deno.test("checkCommands() fails on a wish that was executed twice, under whatever id", () => {
  const evidence = rightEvidence();
  const again = { ...evidence.executed[0]!, messageId: "other" };
  const figures = checkCommands({ ...evidence, executed: [...evidence.executed, again] });
  assertFaults(
    figures,
    { executedTwice: 1 },
    /^executed twice: number 0 of ack, at last as other$/,
  );
});

Deno.test("checkCommands() fails on what nobody has asked for", () => {
  const evidence = rightEvidence();
  const forged = { ...evidence.executed[0]!, n: 9 };
  const figures = checkCommands({ ...evidence, executed: [...evidence.executed, forged] });
  assertFaults(figures, {}, /^executed, but never asked for: ack-0$/);
});

Deno.test("checkCommands() fails on two answers to one request", () => {
  const [answer] = rightEvidence().wishes[0]!.answers;
  for (const change of [{ timestamp: 1001 }, { delivery: "stored" }, { messageId: "ack-1" }]) {
    const figures = checkCommands(withWish(0, { answers: [answer!, { ...answer!, ...change }] }));
    assertFaults(figures, {}, /^answered in two ways/);
  }
});

Deno.test("checkCommands() fails on a second copy to a device that never acknowledges", () => {
  const evidence = rightEvidence();
  const copies = [...evidence.copies, { ...evidence.copies[2]!, timestamp: 1300 }];
  const figures = checkCommands({ ...evidence, copies });
  assertFaults(figures, {}, /^a second copy to a plain device: plain-0$/);
  const redelivered = [...evidence.copies, evidence.copies[2]!, evidence.copies[0]!];
  assert.deepEqual(checkCommands({ ...evidence, copies: redelivered }).violations, []);
});

Deno.test("checkCommands() fails on `waiting` while a copy is with the device", () => {
  const evidence = rightEvidence();
  const reports = [report("ack-0", "waiting", 60, 61)];
  const figures = checkCommands({ ...evidence, reports });
  assertFaults(figures, { falseClaims: 1 }, /ack-0 was waiting 10 ms after a copy came$/);
  const kept = evidence.kept.map((one) => ({ ...one, state: "waiting" as const }));
  const atLast = checkCommands({ ...evidence, kept, reports: [] });
  assertFaults(atLast, { falseClaims: 4 }, /plain-0 was waiting at last, and a copy came$/);
});

Deno.test("checkCommands() fails on `expired` and `cancelled` of what had a copy", () => {
  for (const state of ["expired", "cancelled"] as const) {
    const evidence = rightEvidence();
    const kept = evidence.kept.map((one) => one.messageId === "plain-0" ? { ...one, state } : one);
    const callbacks = [...evidence.callbacks, { messageId: "plain-0", state }];
    const figures = checkCommands({ ...evidence, kept, callbacks });
    assertFaults(figures, { falseClaims: 2 }, new RegExp(`plain-0 was ${state}$`));
  }
});

Deno.test("checkCommands() fails on a word that the device has not said, or only later", () => {
  const { words, ...evidence } = rightEvidence();
  const unsaid = words.filter(({ messageId, state }) => messageId !== "ack-1" || state !== "done");
  const forged = checkCommands({ ...evidence, words: unsaid });
  assertFaults(forged, { falseClaims: 2 }, /ack-1 was done, and its device had not said so$/);
  const late = words.map((one) => one.state === "received" ? { ...one, atMs: 70 } : one);
  const early = checkCommands({ ...evidence, words: late });
  assertFaults(early, { falseClaims: 1 }, /ack-0 was received, and its device had not said so$/);
});

Deno.test("checkCommands() fails on a state that goes back, and not on looks that overlap", () => {
  const evidence = rightEvidence();
  const back = [...evidence.reports, report("ack-0", "received", 61, 62)];
  const figures = checkCommands({ ...evidence, reports: back });
  assertFaults(figures, { falseClaims: 1 }, /^a state that went back: ack-0, received after done$/);
  const overlapping = [...evidence.reports, report("ack-0", "received", 52, 62)];
  assert.deepEqual(checkCommands({ ...evidence, reports: overlapping }).violations, []);
  const again = [...evidence.callbacks, ...evidence.callbacks];
  assert.deepEqual(checkCommands({ ...evidence, callbacks: again }).violations, []);
  const told = checkCommands({ ...evidence, callbacks: evidence.callbacks.toReversed() });
  assertFaults(told, { falseClaims: 2 }, /^a state that went back: ack-0, sent after done$/);
});

Deno.test("checkCommands() fails on `nothing was sent` of what came to the device", () => {
  const unsent = { status: 503, problem: "broker-unavailable" };
  const figures = checkCommands(withWish(2, { answers: [unsent] }));
  assertFaults(figures, { falseClaims: 1 }, /number 2 of plain, broker-unavailable$/);
  const nobody = { status: 202, messageId: "plain-0", timestamp: 1000, delivery: "no_subscriber" };
  const once = checkCommands(withWish(2, { answers: [nobody], ttlSeconds: undefined }));
  assertFaults(once, { falseClaims: 1 }, /number 2 of plain, no_subscriber$/);
  const unknown = withWish(2, { answers: [{ ...unsent, messageId: "plain-0" }] });
  assert.deepEqual(checkCommands(unknown).violations, []);
});

Deno.test("checkCommands() fails on a last state that the backend was not told", () => {
  const evidence = rightEvidence();
  const callbacks = evidence.callbacks.filter(({ state }) => state !== "done");
  const figures = checkCommands({ ...evidence, callbacks });
  assertFaults(figures, {}, /^the backend was not told: that ack-0 is done$/);
  const toTell = evidence.callbacks.filter(({ state }) => state === "done");
  assert.deepEqual(checkCommands({ ...evidence, callbacks, toTell }).violations, []);
});
