/** Tells of commands that change: the log, and requests that wait for one of them. */

import type { ChangedCommand } from "../../core/command_store.ts";
import type { Emit } from "../../core/event.ts";

/** Most requests that may wait; one more is answered at once. */
const FOLLOWERS_MAX = 1_000;

/** Waits for the changes of one command; `end` it when you are done. */
interface Follower {
  /** Resolves at the first change since this was last asked, at `stop` or after `timeoutMs`. */
  changed(timeoutMs: number, stop: AbortSignal): Promise<void>;
  end(): void;
}

/** The watch. */
export class CommandWatch {
  readonly #emit: Emit;
  readonly #followers = new Map<string, Set<() => void>>();
  #count = 0;

  constructor(emit: Emit) {
    this.#emit = emit;
  }

  /** Commands have changed, and that is on the disk. */
  changed(commands: readonly ChangedCommand[]): void {
    for (const { command, isNews } of commands) {
      const { keyName, deviceId, messageId, state } = command;
      for (const wake of this.#followers.get(messageId) ?? []) wake();
      if (!isNews) continue;
      this.#emit({ kind: "command_state_changed", keyName, deviceId, messageId, state });
    }
  }

  /** True if anybody follows the command. */
  isFollowed(messageId: string): boolean {
    return this.#followers.has(messageId);
  }

  /** Begins to follow a command; undefined if too many do. */
  follow(messageId: string): Follower | undefined {
    if (this.#count >= FOLLOWERS_MAX) return undefined;
    this.#count++;
    let change = Promise.withResolvers<void>();
    const wake = () => change.resolve();
    const followers = this.#followers.get(messageId) ?? new Set();
    this.#followers.set(messageId, followers.add(wake));
    return {
      changed: async (timeoutMs, stop) => {
        const timer = setTimeout(wake, timeoutMs);
        stop.addEventListener("abort", wake);
        if (!stop.aborted) await change.promise;
        stop.removeEventListener("abort", wake);
        clearTimeout(timer);
        change = Promise.withResolvers();
      },
      end: () => {
        this.#count--;
        followers.delete(wake);
        if (followers.size === 0) this.#followers.delete(messageId);
      },
    };
  }
}
