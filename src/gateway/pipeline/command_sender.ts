/**
 * Sends copies of commands to devices.
 *
 * The rules are:
 * - a copy is signed again under the same message_id, and is on the disk before it is published;
 * - a copy is not published once its time is over, and the broker drops it then;
 * - a device has one turn at a time, and what waits for it goes first, in the order of acceptance:
 *   the next one is published when the broker has spoken of the one before, whatever the device says;
 * - a device that is not there is tried when it is heard, when the broker is back, and at growing
 *   pauses;
 * - a copy that an earlier run did not live to see concluded may be with the device: it is sent;
 * - a second copy of what was sent goes only to a device that has ever acknowledged a command;
 * - memory is bounded: what waits is on the disk; here is only which devices wait.
 */

import { writeCommand } from "../../core/command.ts";
import {
  type CopyOutcome,
  copyTimestamp,
  RETRY_PAUSE,
  retryPauseMs,
} from "../../core/command_life.ts";
import { copyOutcomeOf } from "../../core/copy_outcome.ts";
import type {
  CommandChange,
  CommandChangeResult,
  CommandReader,
  IntendedCopy,
  StoredCommand,
} from "../../core/command_store.ts";
import type { OnFailpoint } from "../../core/failpoint.ts";
import type { Broker, DeviceKeys } from "../../core/ports.ts";
import { sign } from "../../core/signature.ts";
import { signingInput } from "../../core/signing_input.ts";
import { secondsOf } from "../../core/time.ts";
import { commandTopic } from "../../core/topic.ts";
import type { Clock } from "../../time/clock.ts";

/** Devices that are tried at once. */
const TURNS_MAX = 32;

/** Pauses between two tries of a device that is not there, and shorter ones if it is heard. */
const RETRY_FIRST_MS = RETRY_PAUSE.firstMs;
const RETRY_LONGEST_MS = RETRY_PAUSE.longestMs;
const HEARD_FIRST_MS = 1_000;

/** A device that was silent for longer has come back. */
const SILENCE_MS = 30_000;

/** A copy is not sent again earlier than this, however often the device is heard. */
const AGAIN_FIRST_SECONDS = 5;

/** Changes commands on the disk. */
export interface CommandWriter {
  change(
    change: CommandChange,
    options?: { readonly isPatient?: boolean },
  ): Promise<CommandChangeResult | undefined>;
}

/** What a sender works with. */
interface SenderParts {
  readonly clock: Clock;
  readonly keys: DeviceKeys;
  readonly broker: Pick<Broker, "publish" | "isConnected">;
  readonly committer: CommandWriter;
  readonly commands: CommandReader;
  readonly failpoint: OnFailpoint;
}

/** Its settings. */
interface SenderOptions {
  /** After which a device refuses a copy. */
  readonly toleranceSeconds: number;
  readonly resendMs: number;
}

/** A device for which something waits, or may have to be sent again. */
interface Queue {
  /** Tries in a row that found nobody. */
  failures: number;
  lastTryMs: number;
  lastHeardMs: number;
  lastCopyMs: number;
  /** True if it has a turn soon, or has one. */
  isDue: boolean;
  timer: ReturnType<typeof setTimeout> | undefined;
}

/** Where a turn has ended. */
type TurnEnd =
  /** Nothing waits. */
  | "clear"
  /** The device is not there: what waits goes on waiting. */
  | "no_subscriber"
  /** Nothing can be sent to it now. */
  | "stopped";

/** The sender. */
export class CommandSender {
  readonly #parts: SenderParts;
  readonly #options: SenderOptions;
  readonly #queues = new Map<string, Queue>();
  readonly #ready: string[] = [];
  readonly #turns = new Map<string, Promise<unknown>>();
  #running = 0;
  #isStopped = false;

  constructor(parts: SenderParts, options: SenderOptions) {
    this.#parts = parts;
    this.#options = options;
  }

  /** Takes over what an earlier run has left. */
  async start(): Promise<void> {
    const { committer, commands } = this.#parts;
    for (const name of await commands.unconcluded()) {
      const unknown = { kind: "conclude", name, outcome: "unknown", answer: undefined } as const;
      committer.change(unknown, { isPatient: true });
    }
    for (const deviceId of await commands.devices()) this.add(deviceId);
  }

  /** Sends no more; resolves when what is under way has ended. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    for (const { timer } of this.#queues.values()) clearTimeout(timer);
    await Promise.all(this.#turns.values());
  }

  /** Devices for which something waits, or may have to be sent again. */
  get devices(): number {
    return this.#queues.size;
  }

  /** The broker is there: everything that waits is tried. */
  connected(): void {
    for (const [deviceId, queue] of this.#queues) {
      queue.failures = 0;
      this.#wake(deviceId, queue);
    }
  }

  /** The device has sent something. */
  heard(deviceId: string): void {
    const queue = this.#queues.get(deviceId);
    if (queue === undefined) return;
    const nowMs = this.#parts.clock.monotonicMs();
    if (nowMs - queue.lastHeardMs > SILENCE_MS) queue.failures = 0;
    queue.lastHeardMs = nowMs;
    const pauseMs = Math.min(RETRY_LONGEST_MS, HEARD_FIRST_MS * 2 ** queue.failures);
    const waitMs = queue.lastTryMs + pauseMs - nowMs;
    if (waitMs <= 0) this.#wake(deviceId, queue);
    else this.#wakeIn(deviceId, queue, waitMs);
  }

  /** Something waits for the device, or may have to be sent to it again. */
  add(deviceId: string): void {
    if (this.#isStopped) return;
    const known = this.#queues.get(deviceId);
    const nowMs = this.#parts.clock.monotonicMs();
    const queue = known ?? {
      ...{ failures: 0, lastTryMs: nowMs, lastHeardMs: -Infinity, lastCopyMs: nowMs },
      ...{ isDue: false, timer: undefined },
    };
    this.#queues.set(deviceId, queue);
    if (queue.timer === undefined) this.#wakeIn(deviceId, queue, RETRY_FIRST_MS);
  }

  /** Runs `work` when the device has no other turn. */
  async inTurn<T>(deviceId: string, work: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(deviceId) ?? Promise.resolve();
    const turn = before.then(work);
    const end = turn.catch(() => {});
    this.#turns.set(deviceId, end);
    try {
      return await turn;
    } finally {
      if (this.#turns.get(deviceId) === end) this.#turns.delete(deviceId);
    }
  }

  /** Sends what waits for the device; belongs into a turn. */
  async sendWaiting(deviceId: string): Promise<TurnEnd> {
    const { clock, commands, broker } = this.#parts;
    const queue = this.#queues.get(deviceId);
    if (queue === undefined) return "clear";
    queue.lastTryMs = clock.monotonicMs();
    while (broker.isConnected && !this.#isStopped) {
      const next = await commands.nextWaiting(deviceId, secondsOf(clock.wallMs()));
      if (next === undefined) return "clear";
      const outcome = await this.#sendAgain(next);
      if (outcome === "no_subscriber" || outcome === "inactive") queue.failures++;
      else if (outcome === "queued") queue.failures = 0;
      if (outcome !== "queued") return outcome === "no_subscriber" ? outcome : "stopped";
    }
    return "stopped";
  }

  /** Publishes a copy whose intent is on the disk. */
  async publish(stored: StoredCommand, copy: IntendedCopy): Promise<CopyOutcome> {
    const { broker, clock, failpoint } = this.#parts;
    const { deviceId } = stored.command;
    const queue = this.#queues.get(deviceId);
    if (queue) queue.lastCopyMs = clock.monotonicMs();
    const body = await this.#sign(stored, copy).catch(() => undefined); // the store's fault
    const messageExpiryInterval = this.#secondsLeft(copy);
    if (body === undefined || messageExpiryInterval <= 0) return "unsent";
    const properties = { messageExpiryInterval };
    const published = await broker.publish(commandTopic(deviceId), body, properties);
    failpoint("command_published");
    return copyOutcomeOf(published);
  }

  /** The signed message; undefined if the device has no key any longer. */
  async #sign(
    { command: { deviceId, messageId }, payload }: StoredCommand,
    { timestampSeconds, nowSeconds }: IntendedCopy,
  ): Promise<Uint8Array | undefined> {
    const key = await this.#parts.keys.key(deviceId, nowSeconds);
    if (key === undefined) return undefined;
    const fields = { deviceId, messageId, timestamp: String(timestampSeconds) };
    const signature = await sign(key, signingInput(fields, payload));
    return writeCommand({ ...fields, payload, signature });
  }

  /** How long a copy is still valid: its intent may have waited for the disk. */
  #secondsLeft({ timestampSeconds, nowSeconds }: IntendedCopy): number {
    const latestSeconds = Math.max(nowSeconds, secondsOf(this.#parts.clock.wallMs()));
    return timestampSeconds + this.#options.toleranceSeconds - latestSeconds;
  }

  /** What a copy of the command is to be signed with. */
  copyOf(command: StoredCommand["command"]): IntendedCopy {
    const nowSeconds = secondsOf(this.#parts.clock.wallMs());
    const timestampSeconds = copyTimestamp(command, { nowSeconds, ...this.#options });
    return { timestampSeconds, nowSeconds };
  }

  /** Writes the intent, publishes, writes the outcome. */
  async #sendAgain(stored: StoredCommand): Promise<CopyOutcome | "inactive" | undefined> {
    const { keys, committer } = this.#parts;
    const { deviceId, messageId } = stored.command;
    const copy = this.copyOf(stored.command);
    await keys.refresh();
    if (keys.statusOf(deviceId, copy.nowSeconds) !== "active") return "inactive";
    const name = { deviceId, messageId };
    const intent = await committer.change({ kind: "send", name, copy });
    if (intent?.kind !== "changed") return undefined;
    const outcome = await this.publish(stored, copy);
    const conclusion: CommandChange = { kind: "conclude", name, outcome, answer: undefined };
    await committer.change(conclusion, { isPatient: true });
    return outcome;
  }

  #wakeIn(deviceId: string, queue: Queue, delayMs: number): void {
    clearTimeout(queue.timer);
    queue.timer = setTimeout(() => this.#wake(deviceId, queue), delayMs);
  }

  #wake(deviceId: string, queue: Queue): void {
    clearTimeout(queue.timer);
    queue.timer = undefined;
    if (queue.isDue) return;
    queue.isDue = true;
    this.#ready.push(deviceId);
    this.#serve();
  }

  #serve(): void {
    while (this.#running < TURNS_MAX && !this.#isStopped) {
      const deviceId = this.#ready.shift();
      if (deviceId === undefined) return;
      this.#running++;
      this.inTurn(deviceId, () => this.#turn(deviceId)).finally(() => {
        this.#running--;
        this.#serve();
      });
    }
  }

  /** One turn of a device; the next one comes by itself as long as something may have to be sent. */
  async #turn(deviceId: string): Promise<void> {
    const queue = this.#queues.get(deviceId);
    if (queue === undefined) return;
    queue.isDue = false;
    try {
      const end = await this.sendWaiting(deviceId);
      const pauseMs = end === "clear" ? await this.#resend(deviceId, queue) : this.#retryMs(queue);
      if (pauseMs !== undefined) this.#plan(deviceId, queue, pauseMs);
      else if (!queue.isDue) this.#remove(deviceId, queue);
    } catch {
      this.#plan(deviceId, queue, this.#retryMs(queue)); // the store's fault, which the committer reports
    }
  }

  /** When a device that is not there is tried again, milliseconds; all are when the broker is back. */
  #retryMs({ failures }: Queue): number {
    if (!this.#parts.broker.isConnected) return RETRY_LONGEST_MS;
    return retryPauseMs({ failures, devices: this.devices });
  }

  #plan(deviceId: string, queue: Queue, pauseMs: number): void {
    const isPlanned = queue.isDue || queue.timer !== undefined;
    if (!this.#isStopped && !isPlanned) this.#wakeIn(deviceId, queue, pauseMs);
  }

  #remove(deviceId: string, queue: Queue): void {
    clearTimeout(queue.timer);
    this.#queues.delete(deviceId);
  }

  /**
   * Sends again what a device has not acknowledged; resolves to when there is more to send,
   * milliseconds, or to undefined if there is nothing of that kind.
   */
  async #resend(deviceId: string, queue: Queue): Promise<number | undefined> {
    const { clock, commands } = this.#parts;
    if (!await commands.hasAcknowledged(deviceId)) return undefined;
    const nowSeconds = secondsOf(clock.wallMs());
    const sent = await commands.unacknowledged(deviceId, nowSeconds);
    if (sent.length === 0) return undefined;
    const isHeard = queue.lastHeardMs > queue.lastCopyMs;
    let pauseSeconds = secondsOf(this.#options.resendMs);
    for (const stored of sent) {
      const { lastSentSeconds = 0 } = stored.command;
      const wait = this.#againSeconds(stored, isHeard) - Math.abs(nowSeconds - lastSentSeconds);
      if (wait <= 0) await this.#sendAgain(stored);
      else pauseSeconds = Math.min(pauseSeconds, wait);
    }
    return 1000 * pauseSeconds;
  }

  /** How old the last copy must be, seconds. */
  #againSeconds({ command: { sends } }: StoredCommand, isHeard: boolean): number {
    const resendSeconds = secondsOf(this.#options.resendMs);
    return isHeard
      ? Math.min(resendSeconds, AGAIN_FIRST_SECONDS * 2 ** (sends - 1))
      : resendSeconds;
  }
}
