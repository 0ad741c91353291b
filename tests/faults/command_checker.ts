/**
 * Whether a command was lost or executed twice, and whether anybody was told more than is known.
 *
 * The rules are:
 * - what was accepted with a TTL long enough is executed by a device that acknowledges;
 * - what was asked for once is executed once, however often the request was repeated;
 * - the same request has the same answer;
 * - a device that never acknowledges is sent a second copy only if nobody had the first;
 * - a state says no more than what was known then: `waiting`, `expired` and `cancelled` that no copy
 *   is with the device, the device's states that it has said so; and it only moves forward;
 * - each command's last state is told to the backend, or is about to be.
 */

import type { CommandState } from "../../src/core/command_life.ts";
import { Violations } from "./violations.ts";

/** What a request was answered. */
export interface CommandAnswer {
  readonly status: number;
  /** The end of the problem's type; undefined if it was accepted. */
  readonly problem?: string;
  readonly messageId?: string;
  readonly timestamp?: number;
  readonly delivery?: string;
}

/** One wish of the backend, with all its repetitions. */
export interface Wish {
  /** Stands in the payload. */
  readonly n: number;
  readonly deviceId: string;
  readonly ttlSeconds: number | undefined;
  /** False: asked once, whatever came of it. */
  readonly hasKey: boolean;
  readonly answers: readonly CommandAnswer[];
  /** Somebody has asked to end it. */
  readonly isCancelled: boolean;
}

/** A copy at its device; times are monotonic milliseconds. */
export interface CommandCopy {
  readonly deviceId: string;
  readonly messageId: string;
  readonly n: number;
  /** The signed one. */
  readonly timestamp: number;
  readonly atMs: number;
}

/** What a device is about to say. */
export interface DeviceWord {
  readonly messageId: string;
  readonly state: CommandState;
  readonly atMs: number;
}

/** A state that somebody was told; true at some moment between the two. */
export interface CommandReport {
  readonly messageId: string;
  readonly state: CommandState;
  readonly fromMs: number;
  readonly untilMs: number;
}

/** A command as the store has it in the end. */
export interface KeptCommand {
  readonly deviceId: string;
  readonly messageId: string;
  readonly state: CommandState;
}

/** Everything that was seen, from all sides. */
export interface CommandEvidence {
  readonly wishes: readonly Wish[];
  readonly copies: readonly CommandCopy[];
  readonly executed: readonly CommandCopy[];
  readonly words: readonly DeviceWord[];
  /** In the order of time. */
  readonly reports: readonly CommandReport[];
  /** What the backend was told of its own accord, in the order of arrival. */
  readonly callbacks: readonly Pick<CommandReport, "messageId" | "state">[];
  /** What the store holds for the backend in the end: it is told that as soon as a gateway runs. */
  readonly toTell: readonly Pick<CommandReport, "messageId" | "state">[];
  readonly kept: readonly KeptCommand[];
  /** Devices that acknowledge. */
  readonly acknowledgers: ReadonlySet<string>;
  /** With this TTL a command outlives every fault. */
  readonly longSeconds: number;
}

/** The verdict in figures, and every violation in words. */
export interface CommandFigures {
  readonly asked: number;
  readonly accepted: number;
  /** Requests beyond the first of each wish. */
  readonly repeated: number;
  readonly copies: number;
  readonly executed: number;
  readonly reports: number;
  readonly lost: number;
  readonly executedTwice: number;
  readonly falseClaims: number;
  /** Of which nobody knows although their device acknowledges; their state says so. */
  readonly unknown: number;
  readonly violations: readonly string[];
}

/** Judges the evidence. */
export function checkCommands(evidence: CommandEvidence): CommandFigures {
  const violations = new Violations();
  const { wishes, copies, executed, reports, kept } = evidence;
  checkAnswers(evidence, violations);
  checkCopies(evidence, violations);
  checkTold(evidence, violations);
  const figures = {
    asked: wishes.length,
    accepted: wishes.filter(isAccepted).length,
    repeated: wishes.reduce((sum, { answers }) => sum + Math.max(0, answers.length - 1), 0),
    copies: copies.length,
    executed: executed.length,
    reports: reports.length + evidence.callbacks.length,
    lost: countLost(evidence, violations),
    executedTwice: countTwice(evidence, violations),
    falseClaims: countFalseClaims(evidence, violations),
    unknown:
      kept.filter(({ deviceId, state }) =>
        evidence.acknowledgers.has(deviceId) && UNKNOWN.has(state)
      ).length,
  };
  return { ...figures, violations: violations.list() };
}

function isAccepted({ answers }: Wish): boolean {
  return answers.some(({ status }) => status === 202);
}

function countLost(evidence: CommandEvidence, violations: Violations): number {
  const { wishes, executed, acknowledgers, longSeconds } = evidence;
  const done = new Set(executed.map(({ n }) => n));
  const isOwed = (wish: Wish) =>
    isAccepted(wish) && !wish.isCancelled && acknowledgers.has(wish.deviceId) &&
    wish.ttlSeconds !== undefined && wish.ttlSeconds >= longSeconds;
  const lost = wishes.filter((wish) => isOwed(wish) && !done.has(wish.n));
  for (const wish of lost) violations.add("accepted, and never executed", nameOf(wish));
  const kept = new Set(evidence.kept.map(({ messageId }) => messageId));
  const accepted = wishes.flatMap(({ answers }) => answers.filter(({ status }) => status === 202));
  for (const { messageId = "" } of accepted) {
    if (!kept.has(messageId)) violations.add("accepted, and without a record", messageId);
  }
  return lost.length;
}

function countTwice({ executed, wishes }: CommandEvidence, violations: Violations): number {
  const known = new Map(wishes.map((wish) => [wish.n, wish]));
  const seen = new Set<number>();
  let twice = 0;
  for (const { n, deviceId, messageId } of executed) {
    const wish = known.get(n);
    if (wish?.deviceId !== deviceId) violations.add("executed, but never asked for", messageId);
    if (seen.has(n)) {
      twice++;
      violations.add("executed twice", `number ${n} of ${deviceId}, at last as ${messageId}`);
    }
    seen.add(n);
  }
  return twice;
}

/** Repetitions of a request have one answer, once it is accepted. */
function checkAnswers({ wishes }: CommandEvidence, violations: Violations): void {
  for (const wish of wishes) {
    const accepted = wish.answers.filter(({ status }) => status === 202);
    const texts = new Set(
      accepted.map(({ messageId, timestamp, delivery }) => `${messageId} ${timestamp} ${delivery}`),
    );
    if (texts.size > 1) violations.add("answered in two ways", [...texts].join(", "));
  }
}

function checkCopies({ copies, acknowledgers }: CommandEvidence, violations: Violations): void {
  const timestamps = new Map<string, Set<number>>();
  for (const { deviceId, messageId, timestamp } of copies) {
    if (acknowledgers.has(deviceId)) continue;
    const known = timestamps.get(messageId) ?? new Set();
    timestamps.set(messageId, known.add(timestamp));
    if (known.size > 1) violations.add("a second copy to a plain device", messageId);
  }
}

function checkTold({ kept, callbacks, toTell }: CommandEvidence, violations: Violations): void {
  const told = new Set(
    [...callbacks, ...toTell].map(({ messageId, state }) => `${messageId} ${state}`),
  );
  for (const { messageId, state } of kept) {
    if (state === "waiting" || told.has(`${messageId} ${state}`)) continue;
    violations.add("the backend was not told", `that ${messageId} is ${state}`);
  }
}

/** Where a state stands; a lower one never comes after a higher one. */
const RANKS: { readonly [S in CommandState]: number } = {
  waiting: 0,
  sent: 0,
  received: 1,
  running: 2,
  unconfirmed: 3,
  done: 4,
  failed: 4,
  refused: 4,
  expired: 4,
  cancelled: 4,
};

const UNKNOWN: ReadonlySet<CommandState> = new Set(["sent", "unconfirmed"]);
const NEVER_EXECUTED: ReadonlySet<CommandState> = new Set(["expired", "cancelled"]);
const DEVICE_STATES: ReadonlySet<CommandState> = new Set(
  ["received", "running", "done", "failed", "refused"],
);

function countFalseClaims(evidence: CommandEvidence, violations: Violations): number {
  const { reports, callbacks, kept } = evidence;
  const truth = new Truth(evidence);
  const always = { fromMs: -Infinity, untilMs: Infinity };
  const ends = kept.map(({ messageId, state }) => (
    { messageId, state, fromMs: Infinity, untilMs: Infinity }
  ));
  const told = firstArrivals(callbacks).map((one) => ({ ...one, ...always }));
  const claims = [...reports, ...told, ...ends].flatMap((one) => truth.contradicts(one) ?? []);
  for (const claim of claims) violations.add("a state that claims too much", claim);
  const back = [...stepsBack([...reports, ...ends]), ...stepsBack(told)];
  for (const step of back) violations.add("a state that went back", step);
  const answers = falseAnswers(evidence);
  for (const answer of answers) violations.add("an answer that claims too much", answer);
  return claims.length + back.length + answers.length;
}

/** The backend may be told the same again, as it may get a reading again. */
function firstArrivals(callbacks: CommandEvidence["callbacks"]): CommandEvidence["callbacks"] {
  const seen = new Set<string>();
  return callbacks.filter(({ messageId, state }) => {
    const name = `${messageId} ${state}`;
    return !seen.has(name) && seen.add(name);
  });
}

/** What really happened, as the devices know it. */
class Truth {
  /** When the first copy of each command came. */
  readonly #arrivedMs = new Map<string, number>();
  /** When each word was first said. */
  readonly #saidMs = new Map<string, number>();

  constructor({ copies, words }: CommandEvidence) {
    for (const { messageId, atMs } of copies) keepFirst(this.#arrivedMs, messageId, atMs);
    for (const { messageId, state, atMs } of words) {
      keepFirst(this.#saidMs, `${messageId} ${state}`, atMs);
    }
  }

  /** What is false about a report; undefined if nothing is. */
  contradicts({ messageId, state, fromMs, untilMs }: CommandReport): string | undefined {
    const arrivedMs = this.#arrivedMs.get(messageId) ?? Infinity;
    if (state === "waiting" && arrivedMs < fromMs) {
      const since = fromMs < Infinity
        ? `${Math.round(fromMs - arrivedMs)} ms after`
        : "at last, and";
      return `${messageId} was waiting ${since} a copy came`;
    }
    if (NEVER_EXECUTED.has(state) && arrivedMs < Infinity) return `${messageId} was ${state}`;
    if (!DEVICE_STATES.has(state)) return undefined;
    const saidMs = this.#saidMs.get(`${messageId} ${state}`) ?? Infinity;
    const isTrue = saidMs < Infinity && saidMs <= untilMs;
    return isTrue ? undefined : `${messageId} was ${state}, and its device had not said so`;
  }
}

function keepFirst(times: Map<string, number>, name: string, atMs: number): void {
  times.set(name, Math.min(times.get(name) ?? Infinity, atMs));
}

/** Reports that overlap have no order. */
function stepsBack(reports: readonly CommandReport[]): string[] {
  const last = new Map<string, CommandReport>();
  return reports.flatMap((report) => {
    const { messageId, state, fromMs, untilMs } = report;
    const before = last.get(messageId);
    const isLater = before === undefined || fromMs >= before.untilMs ||
      untilMs === Infinity;
    if (!isLater) return [];
    last.set(messageId, report);
    if (before === undefined || before.state === state) return [];
    const isForward = RANKS[state] > RANKS[before.state] ||
      RANKS[state] === 0 && RANKS[before.state] === 0;
    return isForward ? [] : [`${messageId}, ${state} after ${before.state}`];
  });
}

/** Answers that nothing was sent, or that nobody had it and nothing follows. */
function falseAnswers({ wishes, copies }: CommandEvidence): string[] {
  const arrived = new Set(copies.map(({ n }) => n));
  return wishes.flatMap((wish) => {
    const last = wish.answers.at(-1);
    if (last === undefined || !arrived.has(wish.n)) return [];
    const isOnce = wish.ttlSeconds === undefined && last.delivery === "no_subscriber";
    const isNothing = last.status >= 400 && last.messageId === undefined;
    return isOnce || isNothing ? [`${nameOf(wish)}, ${last.problem ?? last.delivery}`] : [];
  });
}

function nameOf({ n, deviceId }: Wish): string {
  return `number ${n} of ${deviceId}`;
}
