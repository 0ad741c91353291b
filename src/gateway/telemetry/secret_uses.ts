/** Records which secrets the devices use, so that an operator knows when an old one can go. */

import type { Emit } from "../../core/event.ts";

const RECORD_EVERY_MS = 1_000;

/** Who knows which secrets were used. */
export interface UsedSecrets {
  /** Records what is due, or `all`; returns the first uses. Throws if the store cannot be written. */
  recordUses(
    options: { readonly all: boolean },
  ): readonly { readonly deviceId: string; readonly generation: number }[];
}

/** Records them once a second, until it is closed. */
export class SecretUses {
  readonly #secrets: UsedSecrets;
  readonly #emit: Emit;
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(secrets: UsedSecrets, emit: Emit) {
    this.#secrets = secrets;
    this.#emit = emit;
    this.#timer = setInterval(() => this.#record({ all: false }), RECORD_EVERY_MS);
  }

  /** Records what is left, and ends. */
  close(): void {
    clearInterval(this.#timer);
    this.#record({ all: true });
  }

  #record(options: { readonly all: boolean }): void {
    try {
      for (const { deviceId, generation } of this.#secrets.recordUses(options)) {
        if (generation > 1) this.#emit({ kind: "new_secret_used", deviceId, generation });
      }
    } catch {
      // The committer tells of a store that fails; what is not recorded is due again.
    }
  }
}
