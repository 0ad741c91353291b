/** Records which secrets the devices use, so that an operator knows when an old one can go. */

import type { Emit } from "../../core/event.ts";

const RECORD_EVERY_MS = 1_000;

/** Who knows which secrets were used. */
interface UsedSecrets {
  /** Devices whose row was found damaged since the last call. */
  newlyDamaged(): readonly { readonly deviceId: string; readonly reason: string }[];
  /** Records what is due, or `all`; resolves to the first uses. */
  recordUses(
    options: { readonly all: boolean },
  ): Promise<readonly { readonly deviceId: string; readonly generation: number }[]>;
}

/** Records them once a second, until it is closed. */
export class SecretUses {
  readonly #secrets: UsedSecrets;
  readonly #emit: Emit;
  readonly #timer: ReturnType<typeof setInterval>;
  /** One at a time, so that no first use is told twice. */
  #last: Promise<void> = Promise.resolve();

  constructor(secrets: UsedSecrets, emit: Emit) {
    this.#secrets = secrets;
    this.#emit = emit;
    this.#timer = setInterval(() => this.#record({ all: false }), RECORD_EVERY_MS);
  }

  /** Records what is left, and ends. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#record({ all: true });
  }

  #record(options: { readonly all: boolean }): Promise<void> {
    return this.#last = this.#last.then(() => this.#recordNow(options));
  }

  async #recordNow(options: { readonly all: boolean }): Promise<void> {
    for (const damaged of this.#secrets.newlyDamaged()) {
      this.#emit({ kind: "device_damaged", ...damaged });
    }
    try {
      for (const { deviceId, generation } of await this.#secrets.recordUses(options)) {
        if (generation > 1) this.#emit({ kind: "new_secret_used", deviceId, generation });
      }
    } catch {
      // The committer tells of a store that fails; what is not recorded is due again.
    }
  }
}
