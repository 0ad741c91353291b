import assert from "node:assert/strict";
import {
  type Carried,
  check,
  type Evidence,
  type Figures,
  isClean,
  type SentMessage,
  sumOf,
} from "./checker.ts";

const bytesOf = (text: string) => new TextEncoder().encode(text);

/** Two devices with five messages each; all was sent, acknowledged, accepted and received once. */
function rightEvidence() {
  const sent = ["one", "two"].flatMap((deviceId) =>
    Array.from({ length: 5 }, (_, sequence): SentMessage => ({
      deviceId,
      sequence,
      messageId: `${deviceId}-${sequence}`,
      payload: bytesOf(`{"${deviceId}":${sequence}}`),
      acknowledged: true,
      answered: true,
    }))
  );
  const received = sent.map(({ deviceId, messageId, payload }): Carried => ({
    deviceId,
    messageId,
    body: payload,
  }));
  const names = received.map(({ deviceId, messageId }) => ({ deviceId, messageId }));
  const nothing: Carried[] = [];
  return {
    sent,
    replays: names.slice(0, 3),
    received,
    stored: { outbox: nothing, dead: nothing, remembered: names, accepted: names },
  };
}

const NOTHING_WRONG = { lost: 0, outOfOrder: 0, replaysForwarded: 0, changedBytes: 0 };

/** Says that exactly these counts are not 0, and that the words say so too. */
function assertFaults(
  figures: Figures,
  expected: Partial<typeof NOTHING_WRONG>,
  ...words: RegExp[]
): void {
  const { lost, outOfOrder, replaysForwarded, changedBytes } = figures;
  const faults = { lost, outOfOrder, replaysForwarded, changedBytes };
  assert.deepEqual(faults, { ...NOTHING_WRONG, ...expected }, figures.violations.join("\n"));
  for (const word of words) {
    assert.ok(figures.violations.some((text) => word.test(text)), `${word}`);
  }
  assert.ok(!isClean(figures));
}

/** The evidence with one message changed, as its device knows it. */
function withSent(evidence: Evidence, at: number, change: Partial<SentMessage>): Evidence {
  const sent = evidence.sent.map((one, i) => i === at ? { ...one, ...change } : one);
  return { ...evidence, sent };
}

Deno.test("check() passes a log in which everything is right", () => {
  const figures = check(rightEvidence());
  assert.deepEqual(figures.violations, []);
  assert.ok(isClean(figures));
  assert.deepEqual(figures, {
    sent: 10,
    acknowledged: 10,
    answered: 10,
    received: 10,
    doubled: 0,
    ...NOTHING_WRONG,
    inOutbox: 0,
    dead: 0,
    violations: [],
  });
});

Deno.test("check() passes repetitions, whatever waits, and what was never acknowledged", () => {
  const evidence = rightEvidence();
  const { received, stored } = evidence;
  const [waiting, dead, ...rest] = received.toReversed();
  const shouted = { ...received[0]!, messageId: received[0]!.messageId.toUpperCase() };
  const arrived = [...rest.toReversed(), received[0]!, shouted];
  let right: Evidence = {
    ...evidence,
    received: arrived,
    stored: { ...stored, outbox: [waiting!], dead: [dead!] },
  };
  right = withSent(withSent(right, 9, { answered: false }), 8, { answered: false });
  const unheard = { ...right.sent[9]!, sequence: 5, messageId: "unheard", acknowledged: false };
  const figures = check({ ...right, sent: [...right.sent, unheard] });
  assert.deepEqual(figures.violations, []);
  const { doubled, inOutbox, dead: buried } = figures;
  assert.deepEqual({ doubled, inOutbox, buried }, { doubled: 2, inOutbox: 1, buried: 1 });
});

Deno.test("check() fails on one loss", () => {
  const evidence = rightEvidence();
  const received = evidence.received.toSpliced(3, 1);
  const lost = withSent({ ...evidence, received }, 3, { answered: false });
  assertFaults(check(lost), { lost: 1 }, /^accepted, and nowhere: one-3 of one$/);
  // Not even accepted: only the broker has it acknowledged.
  const names = evidence.stored.accepted.toSpliced(3, 1);
  const stored = { ...evidence.stored, accepted: names, remembered: names };
  const silent = check({ ...lost, stored });
  assertFaults(silent, { lost: 1 }, /^acknowledged by the broker, and nowhere: one-3 of one$/);
  assert.ok(isClean(check(withSent({ ...lost, stored }, 3, { acknowledged: false }))));
  assert.ok(isClean(check(withSent({ ...lost, stored }, 3, { refusable: true }))));
});

Deno.test("check() fails where an id is remembered and its message is nowhere", () => {
  const evidence = rightEvidence();
  const received = evidence.received.toSpliced(3, 1);
  const stored = { ...evidence.stored, accepted: [] };
  const lost = withSent({ ...evidence, received, stored }, 3, {
    answered: false,
    acknowledged: false,
  });
  assertFaults(check(lost), { lost: 1 }, /^accepted, and nowhere/);
});

Deno.test("check() fails on a message that was answered and not received", () => {
  const evidence = rightEvidence();
  const waiting = evidence.received[3]!;
  const received = evidence.received.toSpliced(3, 1);
  const inOutbox = { ...evidence, received, stored: { ...evidence.stored, outbox: [waiting] } };
  assertFaults(check(inOutbox), {}, /^answered, but not received: one-3 of one$/);
  assertFaults(check({ ...evidence, received }), { lost: 1 }, /^answered, but not received/);
});

Deno.test("check() fails on one swap", () => {
  const evidence = rightEvidence();
  const received = [...evidence.received];
  [received[1], received[2]] = [received[2]!, received[1]!];
  const words = /^out of order: one-1 of one, number 1 after 2$/;
  assertFaults(check({ ...evidence, received }), { outOfOrder: 1 }, words);
  const between = [...evidence.received];
  [between[4], between[5]] = [between[5]!, between[4]!];
  assert.ok(isClean(check({ ...evidence, received: between })), "devices wait for nobody");
});

Deno.test("check() fails on one changed byte, at the backend and in the store", () => {
  const evidence = rightEvidence();
  const changed = { ...evidence.received[6]!, body: bytesOf('{"two": 1}') };
  const received = evidence.received.toSpliced(6, 1, changed);
  const words = /^changed bytes: two-1 of two$/;
  assertFaults(check({ ...evidence, received }), { changedBytes: 1 }, words);
  const repeated = { ...evidence, received: [...evidence.received, changed] };
  assertFaults(check(repeated), { changedBytes: 1 }, words);
  const stored = { ...evidence.stored, dead: [changed] };
  assertFaults(check({ ...evidence, stored }), { changedBytes: 1 }, words);
});

Deno.test("check() fails on one replay that was forwarded as new", () => {
  const evidence = rightEvidence();
  const [again] = evidence.received;
  const received = [...evidence.received, again!];
  const accepted = [...evidence.stored.accepted, again!];
  const twice = { ...evidence, received, stored: { ...evidence.stored, accepted } };
  const words = /^accepted twice: one-0 of one, a replay$/;
  assertFaults(check(twice), { replaysForwarded: 1 }, words);
  assert.equal(check(twice).doubled, 1);
  // Seen from outside only, it counts where nothing else explains a second POST.
  const outside = check({ ...evidence, received, onceOnly: true });
  assertFaults(outside, { replaysForwarded: 1 }, /^forwarded twice without a reason: one-0/);
});

Deno.test("check() fails on a message that its device never sent", () => {
  const evidence = rightEvidence();
  const stolen = { ...evidence.received[0]!, deviceId: "two" };
  const received = [...evidence.received, stolen];
  const words = /^forwarded, but never sent: one-0 of two$/;
  assertFaults(check({ ...evidence, received }), { replaysForwarded: 1 }, words);
});

Deno.test("check() counts what the broker dropped only where the gateway has noticed it", () => {
  const evidence = rightEvidence();
  const received = evidence.received.toSpliced(3, 1);
  const names = evidence.stored.accepted.toSpliced(3, 1);
  const stored = { ...evidence.stored, accepted: names, remembered: names };
  const dropped = withSent({ ...evidence, received, stored }, 3, { answered: false });
  assertFaults(check({ ...dropped, droppedByBroker: 0 }), { lost: 1 });
  assert.ok(isClean(check({ ...dropped, droppedByBroker: 1 })));
  const words = /^noticed more drops than messages are missing: 2 and 1$/;
  assertFaults(check({ ...dropped, droppedByBroker: 2 }), {}, words);
});

Deno.test("check() tells the first of a kind one by one, and counts the rest", () => {
  const evidence = rightEvidence();
  const { violations } = check({ ...evidence, received: [] });
  assert.equal(violations.filter((text) => text.startsWith("accepted, and nowhere")).length, 6);
  assert.ok(violations.includes("accepted, and nowhere: and 5 more"));
});

Deno.test("sumOf() adds figures up and keeps every violation", () => {
  const right = check(rightEvidence());
  const wrong = check({ ...rightEvidence(), received: [] });
  const sum = sumOf([right, wrong]);
  assert.equal(sum.sent, 20);
  assert.equal(sum.lost, 10);
  assert.deepEqual(sum.violations, wrong.violations);
});
