/**
 * Answers that are held until something is known of a command.
 *
 * The rules are:
 * - a request follows the command before it looks at it, so that no change is missed;
 * - it ends with its time, with the gateway, with its server, and when its client goes;
 * - if too many wait, one more is answered at once, as if it had not asked to wait.
 */

import type { Command } from "../../core/command_life.ts";
import type { CommandName, CommandReader } from "../../core/command_store.ts";
import { secondsOf } from "../../core/time.ts";
import type { Clock } from "../../time/clock.ts";
import type { CommandWatch } from "../pipeline/command_watch.ts";

/** What waits work with. */
interface WaitParts {
  readonly clock: Clock;
  readonly commands: Pick<CommandReader, "find">;
  readonly watch: Pick<CommandWatch, "follow">;
}

/** One wait. */
interface Wait {
  readonly seconds: number;
  /** True if there is nothing more to wait for. */
  isOver(command: Command): boolean | Promise<boolean>;
  /** Each ends it. */
  readonly stops: readonly AbortSignal[];
}

/** What a wait has brought. */
interface Waited {
  readonly command: Command;
  /** As it was granted, seconds. */
  readonly seconds: number;
}

/** The waits. */
export class CommandWaits {
  readonly #parts: WaitParts;
  readonly #longestMs: number;
  readonly #closed = new AbortController();

  /** `longestMs` is the longest time that an answer is held; 0: none is. */
  constructor(parts: WaitParts, longestMs: number) {
    this.#parts = parts;
    this.#longestMs = longestMs;
  }

  /** Ends every wait, and from now on each at once. */
  close(): void {
    this.#closed.abort();
  }

  /** The command after the wait; undefined if there is none, or no more may wait. */
  async until(name: CommandName, { seconds, isOver, stops }: Wait): Promise<Waited | undefined> {
    const { clock, commands, watch } = this.#parts;
    const follower = this.#longestMs === 0 ? undefined : watch.follow(name.messageId);
    if (follower === undefined) return undefined;
    const end = new FirstOf([this.#closed.signal, ...stops]);
    const granted = Math.min(seconds, secondsOf(this.#longestMs));
    const endMs = clock.monotonicMs() + 1000 * granted;
    try {
      while (true) {
        const command = await commands.find(name);
        if (command === undefined) return undefined;
        const leftMs = endMs - clock.monotonicMs();
        const isEnded = end.signal.aborted || leftMs <= 0 || await isOver(command);
        if (isEnded) return { command, seconds: granted };
        await follower.changed(leftMs, end.signal);
      }
    } finally {
      follower.end();
      end[Symbol.dispose]();
    }
  }
}

/** Aborts with the first of several signals, and lets go of them when it is disposed of. */
class FirstOf implements Disposable {
  readonly #controller = new AbortController();
  readonly #signals: readonly AbortSignal[];
  readonly #abort = () => this.#controller.abort();

  constructor(signals: readonly AbortSignal[]) {
    this.#signals = signals;
    for (const signal of signals) {
      if (signal.aborted) this.#abort();
      signal.addEventListener("abort", this.#abort);
    }
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  [Symbol.dispose](): void {
    for (const signal of this.#signals) signal.removeEventListener("abort", this.#abort);
  }
}
