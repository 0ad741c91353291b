/**
 * From a message's bytes to a candidate: every check that needs no store.
 *
 * A whole batch is verified at once: its HMACs do not wait for each other.
 */

import { readEnvelope } from "../../core/envelope.ts";
import { examine, examineAcknowledgement } from "../../core/examination.ts";
import type { DeviceKeys, ExaminedBatch, InboundMessage } from "../../core/ports.ts";
import type { InboundKind } from "../../core/topic.ts";

/** A message that waits for its batch. */
export interface WaitingMessage {
  readonly message: InboundMessage;
  readonly kind: InboundKind;
  /** The TLS identity behind its topic. */
  readonly identity: string;
  /** Wall clock when it came, Unix milliseconds. */
  readonly arrivedMs: number;
}

/** What it asks of the registry. */
type Keys = Pick<DeviceKeys, "refresh" | "revision" | "statusOf" | "signedPayload">;

/** Examines messages under the devices' keys. */
export class Verifier {
  readonly #keys: Keys;

  constructor(keys: Keys) {
    this.#keys = keys;
  }

  /** Examines a batch under the registry as it is now. */
  async examine(batch: readonly WaitingMessage[]): Promise<ExaminedBatch> {
    await this.#keys.refresh({ isChecked: true });
    const registryRevision = this.#keys.revision;
    const examined = await Promise.all(
      batch.map(({ message, kind, identity, arrivedMs }) => {
        const { bytes, retained, redelivered } = message;
        const arrival = { identity, retained, redelivered, arrivedMs };
        const read = readEnvelope(bytes);
        return kind === "reading"
          ? examine(read, arrival, this.#keys)
          : examineAcknowledgement(read, arrival, this.#keys);
      }),
    );
    return { examined, registryRevision };
  }
}
