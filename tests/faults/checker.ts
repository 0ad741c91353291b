/**
 * Whether anything was lost, doubled, swapped, changed or forged: one judge for every fault.
 *
 * The rules are:
 * - what a device saw answered, the backend has received;
 * - what was accepted (its id is remembered, or its entry was seen), and what was acknowledged by a
 *   broker that lived on, is received, or is in the outbox, or is a dead letter;
 * - a message arrives with the bytes that were sent, however often it arrives;
 * - per device, first arrivals have the order in which the device sent;
 * - a message is accepted once: whatever comes again, by chance or by malice, is never forwarded as
 *   new; and what its device never sent is not forwarded at all.
 */

import { Violations } from "./violations.ts";

/** A message of a device, by its names; ids are compared without regard to their case. */
export interface Named {
  readonly deviceId: string;
  readonly messageId: string;
}

/** A message, as its device knows it. */
export interface SentMessage extends Named {
  /** Counts up in the order in which the device first sent its messages. */
  readonly sequence: number;
  /** The bytes under the signature. */
  readonly payload: Uint8Array;
  /** A broker has acknowledged it, and has not died since. */
  readonly acknowledged: boolean;
  /** The device has seen the answer that is paired with it. */
  readonly answered: boolean;
  /** The gateway may refuse it on purpose, as above the device's rate. */
  readonly refusable?: boolean;
}

/** A message with its payload, as the backend received it or as the store holds it. */
export interface Carried extends Named {
  readonly body: Uint8Array;
}

/** What the gateway's store holds in the end. */
export interface StoreContents {
  readonly outbox: readonly Carried[];
  readonly dead: readonly Carried[];
  readonly remembered: readonly Named[];
  /** Every entry that was ever put into the outbox, in that order. */
  readonly accepted: readonly Named[];
}

/** Everything that was seen, from all sides. */
export interface Evidence {
  readonly sent: readonly SentMessage[];
  /** Copies of messages that were sent once more on purpose, to deceive the gateway. */
  readonly replays: readonly Named[];
  /** In the order of arrival. */
  readonly received: readonly Carried[];
  readonly stored: StoreContents;
  /** Messages that the broker has dropped, and the gateway has noticed and said so. */
  readonly droppedByBroker?: number;
  /**
   * True where nothing gave the gateway a reason to send a message twice, such as its own death or
   * a POST that failed: then a second POST is as good as a replay that was forwarded.
   */
  readonly onceOnly?: boolean;
}

/** The verdict in figures, and every violation in words. */
export interface Figures {
  readonly sent: number;
  /** By a broker that lived on. */
  readonly acknowledged: number;
  readonly answered: number;
  /** Different messages. */
  readonly received: number;
  /** POSTs beyond the first of a message: at least once is promised, so these are no fault. */
  readonly doubled: number;
  readonly lost: number;
  readonly outOfOrder: number;
  readonly replaysForwarded: number;
  readonly changedBytes: number;
  readonly inOutbox: number;
  readonly dead: number;
  readonly violations: readonly string[];
}

/** Judges the evidence. */
export function check(evidence: Evidence): Figures {
  const { sent, received, stored } = evidence;
  const violations = new Violations();
  const figures = {
    sent: sent.length,
    acknowledged: sent.filter(({ acknowledged }) => acknowledged).length,
    answered: sent.filter(({ answered }) => answered).length,
    received: keysOf(received).size,
    doubled: received.length - keysOf(received).size,
    lost: countLost(evidence, violations),
    outOfOrder: countSwaps(evidence, violations),
    replaysForwarded: countReplays(evidence, violations),
    changedBytes: countChanges(evidence, violations),
    inOutbox: stored.outbox.length,
    dead: stored.dead.length,
  };
  return { ...figures, violations: violations.list() };
}

/** True where nothing is wrong. */
export function isClean(figures: Figures): boolean {
  const { lost, outOfOrder, replaysForwarded, changedBytes, violations } = figures;
  return lost + outOfOrder + replaysForwarded + changedBytes + violations.length === 0;
}

/** Puts the figures of several sites together. */
export function sumOf(several: readonly Figures[]): Figures {
  const total = (name: Exclude<keyof Figures, "violations">) =>
    several.reduce((sum, figures) => sum + figures[name], 0);
  return {
    sent: total("sent"),
    acknowledged: total("acknowledged"),
    answered: total("answered"),
    received: total("received"),
    doubled: total("doubled"),
    lost: total("lost"),
    outOfOrder: total("outOfOrder"),
    replaysForwarded: total("replaysForwarded"),
    changedBytes: total("changedBytes"),
    inOutbox: total("inOutbox"),
    dead: total("dead"),
    violations: several.flatMap(({ violations }) => violations),
  };
}

/** Messages that should be somewhere and are nowhere. */
function countLost(evidence: Evidence, violations: Violations): number {
  const { sent, received, stored, droppedByBroker = 0 } = evidence;
  const arrived = keysOf(received);
  const kept = keysOf([...received, ...stored.outbox, ...stored.dead]);
  const accepted = keysOf([...stored.remembered, ...stored.accepted]);
  for (const one of sent) {
    if (!one.answered || arrived.has(keyOf(one))) continue;
    violations.add("answered, but not received", nameOf(one));
  }
  const gone = sent.filter((one) => !kept.has(keyOf(one)));
  const taken = gone.filter((one) => one.answered || accepted.has(keyOf(one)));
  for (const one of taken) violations.add("accepted, and nowhere", nameOf(one));
  const owed = gone.filter((one) =>
    one.acknowledged && !one.refusable && !one.answered && !accepted.has(keyOf(one))
  );
  if (owed.length < droppedByBroker) {
    const [noticed, missing] = [droppedByBroker, owed.length];
    violations.add("noticed more drops than messages are missing", `${noticed} and ${missing}`);
  }
  const silent = Math.max(0, owed.length - droppedByBroker);
  for (const one of owed.slice(0, silent)) {
    violations.add("acknowledged by the broker, and nowhere", nameOf(one));
  }
  return taken.length + silent;
}

/** First arrivals that come behind a message which their device sent later. */
function countSwaps({ sent, received }: Evidence, violations: Violations): number {
  const sequences = new Map(sent.map((one) => [keyOf(one), one.sequence]));
  const newest = new Map<string, number>();
  const seen = new Set<string>();
  let swaps = 0;
  for (const one of received) {
    const sequence = sequences.get(keyOf(one));
    if (sequence === undefined || seen.has(keyOf(one))) continue;
    seen.add(keyOf(one));
    const before = newest.get(one.deviceId) ?? -1;
    newest.set(one.deviceId, Math.max(before, sequence));
    if (sequence > before) continue;
    swaps++;
    violations.add("out of order", `${nameOf(one)}, number ${sequence} after ${before}`);
  }
  return swaps;
}

function countReplays(evidence: Evidence, violations: Violations): number {
  const { sent, replays, received, stored, onceOnly = false } = evidence;
  const known = keysOf(sent);
  const deceived = keysOf(replays);
  const forged = [...received, ...stored.outbox, ...stored.dead]
    .filter((one) => !known.has(keyOf(one)));
  for (const one of forged) violations.add("forwarded, but never sent", nameOf(one));
  const twice = repeatsOf(stored.accepted);
  for (const one of twice) {
    const why = deceived.has(keyOf(one)) ? "a replay" : "a second copy";
    violations.add("accepted twice", `${nameOf(one)}, ${why}`);
  }
  const again = onceOnly ? repeatsOf(received) : [];
  for (const one of again) violations.add("forwarded twice without a reason", nameOf(one));
  return keysOf([...forged, ...twice, ...again]).size;
}

/** Payloads that are not what was sent under their key. */
function countChanges({ sent, received, stored }: Evidence, violations: Violations): number {
  const payloads = new Map(sent.map((one) => [keyOf(one), one.payload]));
  let changes = 0;
  for (const one of [...received, ...stored.outbox, ...stored.dead]) {
    const payload = payloads.get(keyOf(one)) ?? one.body;
    payloads.set(keyOf(one), payload); // of a message that nobody sent, the first arrival counts
    if (sameBytes(payload, one.body)) continue;
    changes++;
    violations.add("changed bytes", nameOf(one));
  }
  return changes;
}

/** Those whose name stood there before. */
function repeatsOf<T extends Named>(messages: readonly T[]): T[] {
  const seen = new Set<string>();
  return messages.filter((one) => {
    const repeated = seen.has(keyOf(one));
    seen.add(keyOf(one));
    return repeated;
  });
}

function keysOf(messages: readonly Named[]): Set<string> {
  return new Set(messages.map(keyOf));
}

/** The one text for a message's names. */
export function keyOf({ deviceId, messageId }: Named): string {
  return `${deviceId} ${messageId.toLowerCase()}`;
}

function nameOf(one: Named): string {
  return `${one.messageId} of ${one.deviceId}`;
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
