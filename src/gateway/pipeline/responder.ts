/** The backend's answer, brought back to the device that sent the message. */

import type { Answer } from "../../core/delivery.ts";
import type { Emit } from "../../core/event.ts";
import type { OutboxEntry } from "../../core/outbox_entry.ts";
import type { Broker } from "../../core/ports.ts";
import { responseTopic } from "../../core/topic.ts";

/** Publishes answers. */
export class Responder {
  readonly #broker: Pick<Broker, "publish" | "nextConnect">;
  readonly #emit: Emit;

  constructor(broker: Pick<Broker, "publish" | "nextConnect">, emit: Emit) {
    this.#broker = broker;
    this.#emit = emit;
  }

  /** Tries until the broker has it; false if `stop` came first and the entry must stay. */
  async respond(entry: OutboxEntry, answer: Answer, stop: AbortSignal): Promise<boolean> {
    const topic = responseTopic(entry.deviceId);
    const body = answer.body ?? new Uint8Array();
    const properties = {
      correlationData: new TextEncoder().encode(entry.messageId),
      userProperties: { message_id: entry.messageId, status: String(answer.status) },
    };
    let published = await this.#broker.publish(topic, body, properties);
    while (published.kind === "unsent" || published.kind === "unacknowledged") {
      if (!await this.#broker.nextConnect(stop)) return false;
      published = await this.#broker.publish(topic, body, properties);
    }
    if (published.kind === "refused") {
      this.#emit({ kind: "response_refused", entry, reason: published.reason });
    }
    return true;
  }
}
