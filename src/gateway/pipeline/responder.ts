/** The backend's answer, brought back to the device that sent the message. */

import type { Answer } from "../../core/delivery.ts";
import type { Emit } from "../../core/event.ts";
import type { OutboxEntry } from "../../core/outbox_entry.ts";
import type { Broker, DeviceKeys } from "../../core/ports.ts";
import { joined } from "../../core/bytes.ts";
import { sign } from "../../core/signature.ts";
import { signingInput } from "../../core/signing_input.ts";
import { secondsOf } from "../../core/time.ts";
import { responseTopic } from "../../core/topic.ts";
import type { Clock } from "../../time/clock.ts";
import { publishUntilTaken } from "./patient_publish.ts";

const TEXT = new TextEncoder();

/** What a responder works with. */
interface ResponderParts {
  readonly broker: Pick<Broker, "publish" | "nextConnect">;
  readonly keys: Pick<DeviceKeys, "key">;
  readonly clock: Pick<Clock, "wallMs">;
  readonly emit: Emit;
}

/** Publishes answers. */
export class Responder {
  readonly #parts: ResponderParts;

  constructor(parts: ResponderParts) {
    this.#parts = parts;
  }

  /** Tries until the broker has it; false if `stop` came first and the entry must stay. */
  async respond(entry: OutboxEntry, answer: Answer, stop: AbortSignal): Promise<boolean> {
    const { broker, emit } = this.#parts;
    const topic = responseTopic(entry.deviceId);
    const body = answer.body ?? new Uint8Array();
    const properties = {
      correlationData: TEXT.encode(entry.messageId),
      userProperties: {
        ...{ message_id: entry.messageId, status: String(answer.status) },
        ...await this.#signed(entry, answer.status, body),
      },
    };
    const published = await publishUntilTaken(broker, { topic, body, properties }, stop);
    if (published === undefined) return false;
    if (published.kind === "refused") {
      emit({ kind: "response_refused", entry, reason: published.reason });
    }
    return true;
  }

  /** When and by whom it is answered; nothing for a device that has no key any longer. */
  async #signed({ deviceId, messageId }: OutboxEntry, status: number, body: Uint8Array) {
    const nowSeconds = secondsOf(this.#parts.clock.wallMs());
    const key = await this.#parts.keys.key(deviceId, nowSeconds);
    if (key === undefined) return {};
    const fields = { deviceId, messageId, timestamp: String(nowSeconds) };
    const content = joined([TEXT.encode(String(status)), body]);
    const signature = await sign(key, signingInput(fields, content, "response"));
    return { timestamp: fields.timestamp, signature };
  }
}
