/**
 * A device with good firmware: it sends signed readings at its pace, keeps each until it is
 * answered, and sends what is unanswered again, the same bytes in the same order, before anything
 * new goes over a new connection.
 */

import { importSecret, type SecretKey, sign } from "../../src/core/signature.ts";
import { signingInput } from "../../src/core/signing_input.ts";
import { deviceFolderAt } from "../../src/site/layout.ts";
import type { Named, SentMessage } from "./checker.ts";
import { DeviceLink, type Fate } from "./device_link.ts";
import type { Dice } from "./dice.ts";

/** Copies that are sent again before the device waits for the broker. */
const WINDOW = 50;

/** Wait before a message that reached nobody is tried again. */
const TRY_AGAIN_MS = 50;

/** How a device behaves. */
export interface DeviceHabits {
  readonly port: number;
  readonly dice: Dice;
  /** Milliseconds between two readings, on average. */
  readonly everyMs: number;
  /** Readings that may be unanswered before no new ones are made. */
  readonly unansweredMax: number;
  /** One turn in so many also sends an old message again, to deceive; 0: none does. */
  readonly replayEvery: number;
  /** False: what is unanswered is never sent again. */
  readonly resends: boolean;
  /** The gateway may refuse its messages on purpose. */
  readonly refusable?: boolean;
  /** Makes each payload so much longer. */
  readonly padBytes?: number;
}

/** A message that a device has made, as it knows it. */
export interface KeptMessage extends SentMessage {
  /** The signed message as it goes over the wire. */
  readonly text: string;
  acknowledged: boolean;
  answered: boolean;
  /** From its first publish to its answer; monotonic. */
  sentMs: number;
  answeredMs: number;
}

/** One device of a fleet. */
export class FleetDevice {
  readonly deviceId: string;
  /** Every message that it has made. */
  readonly sent: KeptMessage[] = [];
  /** Every copy that was sent to deceive. */
  readonly replays: Named[] = [];
  /** Copies that were sent again because no answer had come. */
  resent = 0;
  /** Answers that did not belong to their message. */
  wrongAnswers = 0;
  readonly #key: SecretKey;
  readonly #habits: DeviceHabits;
  readonly #link: DeviceLink;
  readonly #unanswered = new Map<string, KeptMessage>();
  readonly #captured: KeptMessage[] = [];
  readonly #byId = new Map<string, KeptMessage>();
  readonly #work: Promise<void>;
  /** The connection to a broker that has died. */
  #doubted: number | undefined;
  #making = true;
  #made: Promise<KeptMessage> | undefined;
  #open = true;
  #endPause: (() => void) | undefined;

  private constructor(key: SecretKey, link: DeviceLink, habits: DeviceHabits) {
    this.deviceId = link.deviceId;
    this.#key = key;
    this.#link = link;
    this.#habits = habits;
    this.#work = this.#run();
  }

  /** Starts the device whose folder this is. */
  static async start(folder: string, habits: DeviceHabits): Promise<FleetDevice> {
    const key = await importSecret(await Deno.readTextFile(deviceFolderAt(folder).secret));
    let device: FleetDevice | undefined;
    const link = await DeviceLink.open(folder, (id, body) => device?.hear(id, body), habits);
    return device = new FleetDevice(key!, link, habits);
  }

  get unanswered(): number {
    return this.#unanswered.size;
  }

  /** A message that has been answered, as somebody who listens would have it. */
  get captured(): readonly KeptMessage[] {
    return this.#captured;
  }

  get link(): DeviceLink {
    return this.#link;
  }

  /** Takes an answer: the backends of this harness answer with the message's own id, or its JSON. */
  hear(messageId: string, body: string): void {
    const message = this.#byId.get(messageId);
    if (!message || body.replaceAll('"', "") !== messageId) return void this.wrongAnswers++;
    this.#unanswered.delete(messageId);
    if (message.answered) return;
    message.answered = true;
    message.answeredMs = performance.now();
    this.#captured.push(message);
  }

  /** Makes no more messages; goes on sending what is unanswered. */
  async quiet(): Promise<void> {
    this.#making = false;
    this.#endPause?.();
    await this.#made;
  }

  /** The broker has died: what it had acknowledged and nobody has answered may be gone with it. */
  doubt(): void {
    this.#doubted = this.#link.connection;
    for (const message of this.#unanswered.values()) message.acknowledged = false;
  }

  async close(): Promise<void> {
    this.#open = false;
    await this.quiet();
    await this.#link.close();
    await this.#work;
  }

  async #run(): Promise<void> {
    while (this.#open) {
      const connection = await this.#link.connected();
      if (connection === undefined) return;
      if (!await this.#begin(connection)) continue;
      while (this.#open && this.#link.connection === connection) await this.#turn();
    }
  }

  /** Sends what is unanswered, and makes sure that somebody takes it; false where it was cut off. */
  async #begin(connection: number): Promise<boolean> {
    const again = this.#habits.resends ? [...this.#unanswered.values()] : [];
    this.resent += again.length;
    for (const [i, message] of again.entries()) {
      if (this.#link.connection !== connection) return false;
      if (i % WINDOW > 0) this.#send(message);
      else if (!await this.#probe(message, connection)) return false;
    }
    if (again.length > 0) return true;
    while (!this.#making) {
      if (!await this.#pauseOn(connection)) return false;
    }
    return await this.#probe(await this.#make(), connection);
  }

  /** A message that goes alone: where it reaches nobody, those behind it must not overtake it. */
  async #probe(message: KeptMessage, connection: number): Promise<boolean> {
    while (await this.#publish(message) !== "taken") {
      if (!await this.#pauseOn(connection)) return false;
    }
    return true;
  }

  async #pauseOn(connection: number): Promise<boolean> {
    await this.#pause(TRY_AGAIN_MS);
    return this.#open && this.#link.connection === connection;
  }

  /** One reading at its time, and what else comes to mind. */
  async #turn(): Promise<void> {
    const { dice, everyMs, replayEvery, unansweredMax } = this.#habits;
    await this.#pause(everyMs / 2 + dice.below(everyMs + 1));
    if (!this.#making || !this.#open || this.#unanswered.size >= unansweredMax) return;
    const message = await this.#make();
    this.#send(message);
    if (replayEvery === 0) return;
    if (dice.below(4 * replayEvery) === 0) this.#replay(message);
    if (dice.below(replayEvery) === 0 && this.#captured.length > 0) {
      this.#replay(dice.pick(this.#captured));
    }
  }

  #make(): Promise<KeptMessage> {
    return this.#made = this.#signNext();
  }

  async #signNext(): Promise<KeptMessage> {
    const { deviceId } = this;
    const sequence = this.sent.length;
    const messageId = crypto.randomUUID();
    const timestamp = Math.floor(Date.now() / 1000);
    const pad = "x".repeat(this.#habits.padBytes ?? 0);
    // What a parser that writes again would change: trailing zeros, long integers, escapes.
    const payloadText =
      `{"n":${sequence},"t":22.50,"id":12345678901234567890,"é":"\\u00e9 ☕","2":1,"1":"${pad}"}`;
    const payload = new TextEncoder().encode(payloadText);
    const fields = { deviceId, timestamp: String(timestamp), messageId };
    const signature = await sign(this.#key, signingInput(fields, payload));
    const text = `{"device_id":"${deviceId}","timestamp":${timestamp},` +
      `"message_id":"${messageId}","payload":${payloadText},"signature":"${signature}"}`;
    const kept = {
      ...{ deviceId, messageId, sequence, payload, text },
      ...{ acknowledged: false, answered: false, sentMs: NaN, answeredMs: NaN },
      refusable: this.#habits.refusable ?? false,
    };
    this.sent.push(kept);
    this.#byId.set(messageId, kept);
    this.#unanswered.set(messageId, kept);
    return kept;
  }

  async #publish(message: KeptMessage): Promise<Fate> {
    if (Number.isNaN(message.sentMs)) message.sentMs = performance.now();
    const { connection } = this.#link;
    const fate = await this.#link.publish(message.text);
    if (fate === "taken" && connection !== this.#doubted) message.acknowledged = true;
    return fate;
  }

  /** Publishes without waiting; if the broker has no subscriber, the connection starts again. */
  #send(message: KeptMessage): void {
    const { connection } = this.#link;
    this.#publish(message).then((fate) => {
      const lost = fate === "for nobody" || fate === "refused";
      if (lost && this.#link.connection === connection) this.#link.drop();
    });
  }

  #replay({ deviceId, messageId, text }: KeptMessage): void {
    this.replays.push({ deviceId, messageId });
    this.#link.publish(text);
  }

  async #pause(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#endPause = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#endPause = undefined;
  }
}
