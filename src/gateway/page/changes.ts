/**
 * What a key that operates may change: dead letters are retried or dropped, what is stuck is dropped.
 *
 * The rules are:
 * - a change goes the way that the command line goes, through a store of its own, so that the gateway
 *   hears of it as it does of any other program's;
 * - many are changed step by step, with room between for everything else, and for so long at most;
 * - what a key may not see is not there.
 */

import type { Emit, OperatorAction } from "../../core/event.ts";
import { type ApiKey, reaches } from "../../store/api_keys.ts";
import type { DeadLetterStore, Selection } from "../../store/dead_letters.ts";
import type { Store } from "../../store/store.ts";
import { turnOfOthers } from "../../time/turn_of_others.ts";
import type { PageSources } from "./page_sources.ts";

/** How long one request goes on with many, milliseconds. */
const LONGEST_MS = 5_000;

/** What becomes of dead letters. */
type DeadLetterChange = "retry" | "drop";

const ACTIONS = {
  retry: "dead letters retried",
  drop: "dead letters dropped",
} as const satisfies Record<DeadLetterChange, OperatorAction>;

/** What changes need of the gateway. */
interface ChangeParts {
  readonly sources: PageSources;
  readonly emit: Emit;
}

/** Makes the changes. */
export class Changes {
  readonly #sources: PageSources;
  readonly #emit: Emit;

  constructor({ sources, emit }: ChangeParts) {
    this.#sources = sources;
    this.#emit = emit;
  }

  /** Changes one dead letter; false if there is none that the key may see. */
  async deadLetter(sequence: number, change: DeadLetterChange, key: ApiKey): Promise<boolean> {
    return await this.#withStore(async ({ deadLetters }) => {
      const letter = await deadLetters.find(sequence);
      if (letter === undefined || !reaches(key, letter.deviceId)) return false;
      const { count } = await this.#take(deadLetters, [{ sequence }], change);
      if (count > 0) this.#tell(key, ACTIONS[change], { ...letter, count });
      return count > 0;
    });
  }

  /** Changes those of a device, or of all that the key may see; `more`: some may be left. */
  async deadLetters(
    deviceId: string | undefined,
    change: DeadLetterChange,
    key: ApiKey,
  ): Promise<{ readonly count: number; readonly more: boolean }> {
    const deviceIds = deviceId === undefined ? key.deviceIds : [deviceId];
    const selections: readonly Selection[] = deviceIds?.map((one) => ({ deviceId: one })) ??
      ["all"];
    return await this.#withStore(async ({ deadLetters }) => {
      const done = await this.#take(deadLetters, selections, change);
      if (done.count > 0) this.#tell(key, ACTIONS[change], { deviceId, count: done.count });
      return done;
    });
  }

  /** Makes an entry of the outbox a dead letter; false if there is none that the key may see. */
  async dropEntry(sequence: number, key: ApiKey): Promise<boolean> {
    const { clock } = this.#sources;
    return await this.#withStore(async ({ outbox }) => {
      const entry = await outbox.find(sequence);
      if (entry === undefined || !reaches(key, entry.deviceId)) return false;
      const isDropped = await outbox.drop(sequence, clock.wallMs());
      if (isDropped) this.#tell(key, "outbox entry dropped", { ...entry, count: 1 });
      return isDropped;
    });
  }

  async #take(
    letters: DeadLetterStore,
    selections: readonly Selection[],
    change: DeadLetterChange,
  ) {
    const { clock } = this.#sources;
    const endMs = clock.monotonicMs() + LONGEST_MS;
    let count = 0;
    for (const selection of selections) {
      const steps = change === "retry"
        ? letters.requeue(selection, clock.wallMs())
        : letters.drop(selection);
      for await (const step of steps) {
        count += step;
        if (clock.monotonicMs() >= endMs) return { count, more: true };
        await turnOfOthers();
      }
    }
    return { count, more: false };
  }

  async #withStore<T>(
    work: (store: Pick<Store, "outbox" | "deadLetters">) => Promise<T>,
  ): Promise<T> {
    const store = await this.#sources.openStore();
    try {
      return await work(store);
    } finally {
      await store.close();
    }
  }

  #tell(
    { name: keyName }: ApiKey,
    action: OperatorAction,
    { deviceId, messageId, count }: {
      readonly deviceId: string | undefined;
      readonly messageId?: string | undefined;
      readonly count: number;
    },
  ): void {
    this.#emit({ kind: "operator_acted", keyName, action, deviceId, messageId, count });
  }
}
