/**
 * From a message's bytes to a candidate: every check that needs no store.
 *
 * The rules are:
 * - checks 1 to 4 come first, since they need no key: a flood of them costs no HMAC;
 * - a whole batch is verified at once: its HMACs do not wait for each other.
 */

import type { Examined } from "../../core/admission.ts";
import { readEnvelope } from "../../core/envelope.ts";
import type { DeviceKeys, InboundMessage } from "../../core/ports.ts";
import { secondsOf } from "../../core/time.ts";
import { decideOrigin } from "../../core/verdict.ts";

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
    return await Promise.all(batch.map((waiting) => this.#examineOne(waiting)));
  }

  async #examineOne({ message, identity, arrivedMs }: WaitingMessage): Promise<Examined> {
    const envelope = readEnvelope(message.bytes);
    if (envelope.kind === "rejected") {
      return { kind: "refused", identity, messageId: undefined, rejection: envelope };
    }
    const { deviceId, messageId } = envelope;
    const nowSeconds = secondsOf(arrivedMs);
    const status = this.#keys.statusOf(deviceId, nowSeconds);
    const rejection = decideOrigin(envelope, { identity, retained: message.retained, status });
    if (rejection) return { kind: "refused", identity, messageId, rejection };
    const signedPayload = await this.#keys.signedPayload(envelope, nowSeconds);
    const { redelivered } = message;
    return { kind: "candidate", identity, envelope, signedPayload, redelivered, arrivedMs };
  }
}
