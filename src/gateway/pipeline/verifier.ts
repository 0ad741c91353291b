/**
 * From a message's bytes to a candidate: every check that needs no store.
 *
 * A whole batch is verified at once: its HMACs do not wait for each other.
 */

import type { Examined } from "../../core/admission.ts";
import { readEnvelope } from "../../core/envelope.ts";
import { examine } from "../../core/examination.ts";
import type { DeviceKeys, InboundMessage } from "../../core/ports.ts";

/** A message that waits for its batch. */
export interface WaitingMessage {
  readonly message: InboundMessage;
  /** The TLS identity behind its topic. */
  readonly identity: string;
  /** Wall clock when it came, Unix milliseconds. */
  readonly arrivedMs: number;
}

/** Examines messages under the devices' keys. */
export class Verifier {
  readonly #keys: DeviceKeys;

  constructor(keys: DeviceKeys) {
    this.#keys = keys;
  }

  /** Examines a batch under the registry as it is now. */
  async examine(batch: readonly WaitingMessage[]): Promise<readonly Examined[]> {
    await this.#keys.refresh();
    return await Promise.all(
      batch.map(({ message, identity, arrivedMs }) => {
        const { bytes, retained, redelivered } = message;
        const arrival = { identity, retained, redelivered, arrivedMs };
        return examine(readEnvelope(bytes), arrival, this.#keys);
      }),
    );
  }
}
