/** Reports drops by the broker: the part of its own count that is new. */

import type { Emit } from "../../core/event.ts";
import type { MessageStore } from "../../core/ports.ts";

/** Compares the broker's count with the one in the store. */
export class DropCounter {
  readonly #store: Pick<MessageStore, "countBrokerDrops">;
  readonly #emit: Emit;

  constructor(store: Pick<MessageStore, "countBrokerDrops">, emit: Emit) {
    this.#store = store;
    this.#emit = emit;
  }

  /** The broker says that it has dropped so many since its own start. */
  async count(total: number): Promise<void> {
    try {
      const count = await this.#store.countBrokerDrops(total);
      if (count > 0) this.#emit({ kind: "broker_dropped", count });
    } catch {
      // The store keeps the earlier count: the next one tells of these drops too.
    }
  }
}
