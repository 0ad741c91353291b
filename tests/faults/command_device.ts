/**
 * A device that takes commands: it comes and goes, keeps the ids of what it has executed over its own
 * restarts, and says what became of them, if it is of that kind.
 */

import { setTimeout as pause } from "node:timers/promises";
import { DeviceClient } from "../../src/client/device_client.ts";
import type { AcknowledgedState } from "../../src/core/command_life.ts";
import type { DeviceCommand } from "../../src/client/device_command.ts";
import type { LiveSite } from "../support/live_site.ts";
import type { SentMessage } from "./checker.ts";
import type { CommandCopy, DeviceWord } from "./command_checker.ts";
import type { Dice } from "./dice.ts";

const CONNECT_AGAIN_MS = 100;

/** How long it waits for a command before it does something else. */
const LISTEN_MS = 150;

/** Longest time on the line, and away from it. */
const ONLINE_MAX_MS = 4_000;
const AWAY_MAX_MS = 1_500;

/** Its session at the broker, where it has one. */
const SESSION_SECONDS = 3_600;

const LAST_WORDS: readonly AcknowledgedState[] = ["done", "done", "done", "failed", "refused"];

/** What a device is like. */
export interface CommandDeviceHabits {
  readonly deviceId: string;
  /** False: an ordinary device, which knows nothing of acknowledgements. */
  readonly acknowledges: boolean;
  /** True: the broker keeps what comes while it is away. */
  readonly hasSession: boolean;
}

/** A device; closed by `close`. */
export class CommandDevice {
  readonly habits: CommandDeviceHabits;
  /** Every valid copy that has come. */
  readonly copies: CommandCopy[] = [];
  readonly executed: CommandCopy[] = [];
  readonly words: DeviceWord[] = [];
  /** Its readings, by which the gateway hears it. */
  readonly sent: SentMessage[] = [];
  readonly #dice: Dice;
  /** On its flash: what was executed, and what it has to say of it. */
  readonly #outcomes = new Map<string, AcknowledgedState>();
  /** On its flash: what the broker has not taken yet. */
  readonly #unsaid = new Map<string, AcknowledgedState>();
  #isOpen = true;
  #stays = false;
  #work: Promise<void> | undefined;

  constructor(habits: CommandDeviceHabits, dice: Dice) {
    this.habits = habits;
    this.#dice = dice;
  }

  /** Registers it and sets it going. */
  async start(site: LiveSite): Promise<void> {
    const folder = await site.register(this.habits.deviceId);
    this.#work = this.#run(folder, site.config.devices.port);
  }

  /** From now on it does not go away by itself. */
  stay(): void {
    this.#stays = true;
  }

  async close(): Promise<void> {
    this.#isOpen = false;
    await this.#work;
  }

  async #run(folder: string, port: number): Promise<void> {
    const session = this.habits.hasSession ? { sessionExpirySeconds: SESSION_SECONDS } : {};
    while (this.#isOpen) {
      try {
        const client = await DeviceClient.connect(folder, { port, ...session });
        await this.#live(client).catch(() => {}); // the broker is gone
        await client.close().catch(() => {});
      } catch {
        await pause(CONNECT_AGAIN_MS);
      }
      if (this.#isOpen && !this.#stays) await pause(this.#dice.below(AWAY_MAX_MS));
    }
  }

  /** One connection. */
  async #live(client: DeviceClient): Promise<void> {
    const endMs = performance.now() + this.#dice.below(ONLINE_MAX_MS);
    for (const [messageId, state] of this.#unsaid) await this.#say(client, messageId, state);
    while (this.#isOpen && client.connected && (this.#stays || performance.now() < endMs)) {
      await this.#send(client);
      const command = await client.command({ timeoutMs: LISTEN_MS }).catch(() => undefined);
      if (command?.valid) await this.#take(client, command);
    }
  }

  async #take(
    client: DeviceClient,
    { messageId, timestamp, payload, raw }: DeviceCommand,
  ): Promise<void> {
    const { deviceId, acknowledges } = this.habits;
    const { n } = JSON.parse(payload);
    const copy = { deviceId, messageId, n, timestamp, atMs: performance.now() };
    this.copies.push(copy);
    // Whoever turns it round would have it taken for a reading.
    if (this.#dice.below(4) === 0) {
      await client.publish(raw.replace("{", `{"device_id":"${deviceId}",`));
    }
    if (!this.#outcomes.has(messageId)) {
      this.executed.push(copy);
      this.#outcomes.set(messageId, this.#dice.pick(LAST_WORDS));
      if (acknowledges) this.#unsaid.set(messageId, this.#outcomes.get(messageId)!);
    }
    if (!acknowledges) return;
    // A restart in between leaves the rest for later.
    if (this.#dice.below(4) > 0) await this.#say(client, messageId, "received");
    if (!this.#stays && this.#dice.below(8) === 0) return await client.close();
    if (this.#dice.below(4) === 0) await this.#say(client, messageId, "running");
    await this.#say(client, messageId, this.#outcomes.get(messageId)!);
  }

  async #say(client: DeviceClient, messageId: string, state: AcknowledgedState): Promise<void> {
    this.words.push({ messageId, state, atMs: performance.now() });
    const { reasonCode } = await client.acknowledge(messageId, { state });
    if (reasonCode === 0 && this.#unsaid.get(messageId) === state) this.#unsaid.delete(messageId);
  }

  async #send(client: DeviceClient): Promise<void> {
    const text = `{"n":${this.sent.length}}`;
    const { message, messageId } = await client.sign(text);
    this.sent.push({
      ...{ deviceId: this.habits.deviceId, messageId, sequence: this.sent.length },
      payload: new TextEncoder().encode(text),
      ...{ acknowledged: false, answered: false, refusable: true },
    });
    await client.publish(message);
  }
}
