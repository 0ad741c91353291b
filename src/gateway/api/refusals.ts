/**
 * Refusals of requests, summed up, so that no flood of them fills the log or the audit.
 *
 * The rules are:
 * - the first ones of a kind are told one by one at once; those after them are told with their count
 *   when a minute is over;
 * - each kind is counted apart;
 * - of those that are summed up, the last one is told.
 */

import type { CommandRefusal, Emit, EventOf, KeyFault } from "../../core/event.ts";

/** Refused commands of one key for one reason that are told one by one. */
const COMMANDS_ONE_BY_ONE = 10;

/** How often a sum is told at most, milliseconds. */
const REFUSALS_EVERY_MS = 60_000;

/** How they are summed up. */
interface RefusalOptions {
  /** How many of a kind are told one by one each time. */
  readonly oneByOne: number;
  readonly everyMs?: number;
}

/** Those of one kind. */
interface Period<Refusal> {
  readonly timer: ReturnType<typeof setTimeout>;
  /** How many more are told one by one. */
  left: number;
  /** Those that are not told yet. */
  count: number;
  last: Refusal;
}

/** Counts them until it is closed. */
export class Refusals<Refusal> {
  readonly #tell: (last: Refusal, count: number) => void;
  readonly #oneByOne: number;
  readonly #everyMs: number;
  readonly #periods = new Map<string, Period<Refusal>>();
  #isClosed = false;

  constructor(tell: (last: Refusal, count: number) => void, options: RefusalOptions) {
    this.#tell = tell;
    this.#oneByOne = options.oneByOne;
    this.#everyMs = options.everyMs ?? REFUSALS_EVERY_MS;
  }

  /** A request was refused; there must be a limit to how many kinds there are. */
  add(kind: string, refusal: Refusal): void {
    const period = this.#periods.get(kind) ?? this.#begin(kind, refusal, this.#oneByOne);
    period.last = refusal;
    if (period.left === 0) {
      period.count++;
      return;
    }
    period.left--;
    this.#tell(refusal, 1);
  }

  /** Tells what is left. */
  close(): void {
    this.#isClosed = true;
    for (const kind of this.#periods.keys()) this.#end(kind);
  }

  #begin(kind: string, last: Refusal, left: number): Period<Refusal> {
    const timer = setTimeout(() => this.#end(kind), this.#everyMs);
    const period = { timer, left, count: 0, last };
    if (this.#isClosed) clearTimeout(timer);
    else this.#periods.set(kind, period);
    return period;
  }

  /** While they go on, nothing is told but their sum. */
  #end(kind: string): void {
    const { timer, count, last } = this.#periods.get(kind)!;
    clearTimeout(timer);
    this.#periods.delete(kind);
    if (count === 0) return;
    this.#tell(last, count);
    if (!this.#isClosed) this.#begin(kind, last, 0);
  }
}

/** What the API refuses: requests without the right key, and commands with one. */
export class ApiRefusals {
  readonly #keys: Refusals<Omit<EventOf<"api_key_refused">, "kind" | "count">>;
  readonly #commands: Refusals<CommandRefusal>;

  constructor(emit: Emit) {
    this.#keys = new Refusals(
      (last, count) => emit({ kind: "api_key_refused", ...last, count }),
      { oneByOne: 1 },
    );
    this.#commands = new Refusals(
      (last, count) => emit({ kind: "command_refused", ...last, count }),
      { oneByOne: COMMANDS_ONE_BY_ONE },
    );
  }

  /** A request from this address had no key, or a wrong one. */
  addKey(fault: KeyFault, address: string): void {
    this.#keys.add(fault, { fault, address });
  }

  /** A command was not sent. */
  addCommand(refusal: CommandRefusal): void {
    this.#commands.add(`${refusal.keyName} ${refusal.reason}`, refusal);
  }

  /** Tells what is left. */
  close(): void {
    this.#keys.close();
    this.#commands.close();
  }
}
