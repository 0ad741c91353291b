/**
 * Whether a device with a kit, its backend and the gateway agree in the end.
 *
 * The rules are:
 * - the backend has every reading that the device made, and none that it did not;
 * - a reading has one Idempotency-Key for ever, and arrives with its bytes, in the device's order;
 * - a command is executed once at most; `done` is what was executed, `expired` what was not, and
 *   a command is nothing else in the end.
 */

import type { Figures } from "./checker.ts";
import { Violations } from "./violations.ts";

/** A reading, as its device made it. */
export interface MadeReading {
  readonly messageId: string;
  readonly payload: string;
  /** The device has been told that it needs to send it no more. */
  readonly ended: boolean;
}

/** A command, as its device carried it out. */
export interface Execution {
  readonly messageId: string;
  readonly payload: string;
}

/** What was seen from all sides. */
export interface KitEvidence {
  readonly made: readonly MadeReading[];
  /** In the order of arrival, repetitions too. */
  readonly received: readonly { readonly messageId: string; readonly text: string }[];
  readonly executions: readonly Execution[];
  /** What the gateway says in the end. */
  readonly commands: readonly { readonly messageId: string; readonly state: string }[];
}

/** Judges the evidence. */
export function checkKit(evidence: KitEvidence): Figures {
  const { made, received } = evidence;
  const violations = new Violations();
  const firsts = new Map<string, string>();
  for (const { messageId, text } of received) {
    const id = messageId.toLowerCase();
    if (!firsts.has(id)) firsts.set(id, text);
  }
  const lost = made.filter(({ messageId }) => !firsts.has(messageId));
  for (const { messageId } of lost) violations.add("lost", messageId);
  checkForeign(evidence, violations);
  checkExecutions(evidence, violations);
  return {
    sent: made.length,
    acknowledged: made.length,
    answered: made.filter(({ ended }) => ended).length,
    received: firsts.size,
    doubled: received.length - firsts.size,
    lost: lost.length,
    outOfOrder: countSwaps(evidence, [...firsts.keys()], violations),
    replaysForwarded: countSecondKeys(firsts, violations),
    changedBytes: countChanges(evidence, violations),
    ...{ inOutbox: 0, dead: 0, violations: violations.list() },
  };
}

function checkForeign({ made, received }: KitEvidence, violations: Violations): void {
  const own = new Set(made.map(({ messageId }) => messageId));
  for (const { messageId } of received) {
    if (!own.has(messageId.toLowerCase())) violations.add("not of the device", messageId);
  }
}

/** First arrivals that come before one that was made earlier. */
function countSwaps(
  { made }: KitEvidence,
  arrived: readonly string[],
  violations: Violations,
): number {
  const places = new Map(made.map(({ messageId }, place) => [messageId, place]));
  const order = arrived.map((id) => places.get(id) ?? -1);
  const swapped = arrived.filter((_, i) => i > 0 && order[i]! < order[i - 1]!);
  for (const id of swapped) violations.add("out of order", id);
  return swapped.length;
}

/** Readings that came under a second key. */
function countSecondKeys(firsts: ReadonlyMap<string, string>, violations: Violations): number {
  const seen = new Set<string>();
  let count = 0;
  for (const [id, text] of firsts) {
    if (seen.has(text)) {
      violations.add("one reading, two keys", id);
      count++;
    }
    seen.add(text);
  }
  return count;
}

function countChanges({ made, received }: KitEvidence, violations: Violations): number {
  const payloads = new Map(made.map(({ messageId, payload }) => [messageId, payload]));
  const changed = received.filter(({ messageId, text }) =>
    (payloads.get(messageId.toLowerCase()) ?? text) !== text
  );
  for (const { messageId } of changed) violations.add("changed", messageId);
  return changed.length;
}

function checkExecutions({ executions, commands }: KitEvidence, violations: Violations): void {
  const ids = new Set<string>();
  const payloads = new Set<string>();
  for (const { messageId, payload } of executions) {
    if (ids.has(messageId) || payloads.has(payload)) violations.add("executed twice", messageId);
    ids.add(messageId);
    payloads.add(payload);
  }
  const known = new Set(commands.map(({ messageId }) => messageId));
  for (const id of ids) if (!known.has(id)) violations.add("executed, and nobody asked", id);
  for (const { messageId, state } of commands) {
    const isTrue = ids.has(messageId) ? state === "done" : state === "expired";
    if (!isTrue) violations.add(`a command that is ${state}`, messageId);
  }
}
