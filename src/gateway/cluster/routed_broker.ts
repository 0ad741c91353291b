/**
 * The broker, for a gateway that shares its devices with others: what is for a device that is at
 * another gateway's broker is published there.
 *
 * The rules are:
 * - where a device was heard last is a hint: a device that only listens may have gone elsewhere;
 * - what nobody waits a word for, such as an answer, is handed over, and is then the other's; if
 *   nobody is subscribed any longer here, where the device was last, all others are handed it; but
 *   not again and again for a device that only sends, since each costs a commit and a publish there;
 * - a command is waited for: what the other broker says of it counts; if nobody is subscribed there,
 *   every other broker is asked, and this one;
 * - a gateway that does not answer in time is asked no more: if it has not taken the command, it was
 *   not sent; if it has, nobody knows.
 */

import type { CopyOutcome } from "../../core/command_life.ts";
import type { Broker, NodeStore, Published, PublishProperties } from "../../core/ports.ts";
import { commandTopic } from "../../core/topic.ts";
import type { Presence } from "./presence.ts";

/** Most answers that are handed to all others at once; for more, the next one of the device is. */
const GUESSES_MAX = 16;

/** How long another gateway may take to publish a command, milliseconds. */
const ANSWER_WITHIN_MS = 2_000;

/** What it works with. */
interface RouteParts {
  /** This gateway's own. */
  readonly broker: Pick<Broker, "isConnected" | "publish" | "nextConnect">;
  readonly nodes: Pick<NodeStore, "post" | "endMail">;
  readonly presence: Presence;
}

/** The broker with the others behind it. */
export class RoutedBroker implements Pick<Broker, "isConnected" | "publish" | "nextConnect"> {
  readonly #parts: RouteParts;
  /** Topics to which nobody is subscribed here, as the others were told. */
  readonly #unheard = new Set<string>();
  #guesses = 0;

  constructor(parts: RouteParts) {
    this.#parts = parts;
  }

  /** This gateway's own: without it nothing is sent. */
  get isConnected(): boolean {
    return this.#parts.broker.isConnected;
  }

  async publish(
    topic: string,
    body: Uint8Array,
    properties: PublishProperties,
  ): Promise<Published> {
    const { broker, presence } = this.#parts;
    const deviceId = topic.split("/")[1] ?? "";
    const isAwaited = topic === commandTopic(deviceId);
    const last = presence.nodeOf(deviceId);
    const mail = { deviceId, topic, body, properties, isAwaited };
    if (!isAwaited && last !== undefined) return await this.#hand({ ...mail, node: last });
    if (!isAwaited) return await this.#publishOrHand(mail);
    const nodes = [last, ...presence.others().filter((node) => node !== last)];
    let published: Published = { kind: "acknowledged", subscribers: false };
    for (const node of new Set([...nodes, undefined])) {
      published = node === undefined
        ? await broker.publish(topic, body, properties)
        : await this.#ask({ ...mail, node });
      if (published.kind !== "acknowledged" || published.subscribers) return published;
    }
    return published;
  }

  async nextConnect(stop: AbortSignal): Promise<boolean> {
    return await this.#parts.broker.nextConnect(stop);
  }

  async #publishOrHand(mail: Omit<Parameters<NodeStore["post"]>[0], "node">): Promise<Published> {
    const { broker, presence, nodes } = this.#parts;
    const { topic } = mail;
    const published = await broker.publish(topic, mail.body, mail.properties);
    if (published.kind !== "acknowledged") return published;
    if (published.subscribers) this.#unheard.delete(topic);
    else if (!this.#unheard.has(topic) && this.#guesses < GUESSES_MAX) {
      this.#unheard.add(topic);
      this.#guesses++;
      await Promise.allSettled(presence.others().map((node) => nodes.post({ ...mail, node })));
      this.#guesses--;
    }
    return published;
  }

  async #hand(mail: Parameters<NodeStore["post"]>[0]): Promise<Published> {
    const { broker, nodes } = this.#parts;
    try {
      await nodes.post(mail);
      return { kind: "acknowledged", subscribers: true };
    } catch {
      // the store's fault, which the committer reports: the device may be here as well
      return await broker.publish(mail.topic, mail.body, mail.properties);
    }
  }

  async #ask(mail: Parameters<NodeStore["post"]>[0]): Promise<Published> {
    const { nodes, presence } = this.#parts;
    try {
      const number = await nodes.post(mail);
      await presence.concluded(number, ANSWER_WITHIN_MS);
      return publishedOf(await nodes.endMail(number), mail.node);
    } catch (error) {
      return { kind: "unacknowledged", reason: (error as Error).message };
    }
  }
}

function publishedOf(outcome: CopyOutcome, node: string): Published {
  switch (outcome) {
    case "queued":
    case "no_subscriber":
      return { kind: "acknowledged", subscribers: outcome === "queued" };
    case "unsent":
      return { kind: "unsent", reason: `gateway ${node} does not answer` };
    case "unknown":
      return { kind: "unacknowledged", reason: `gateway ${node} does not answer` };
    default:
      return outcome satisfies never;
  }
}
