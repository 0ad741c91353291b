/**
 * What happens now to messages and commands, for those who look.
 *
 * The rules are:
 * - while nobody looks, it costs one comparison an event;
 * - each follower has a bounded queue: what does not fit is counted, and the count is told;
 * - what came last is kept for a while after the last follower has gone, so that one that was cut off
 *   can go on where it was, also over a restart of the gateway within its worker;
 * - a payload, or the message that was refused, is only in it for a follower that asked.
 */

import { setTimeout as pause } from "node:timers/promises";
import type { EventOf, GatewayEvent } from "../../core/event.ts";
import { rejectionSentence } from "../../core/rejection.ts";
import type { Clock } from "../../time/clock.ts";

/** Most that look at once, and of them with one key: it cannot keep the others out. */
const FOLLOWERS_MAX = 32;
const FOLLOWERS_OF_ONE_MAX = 16;

/** Most items that wait for one follower. */
const QUEUE_MAX = 256;

/** Items that are kept for a follower that comes back, and for how long. */
const RECENT_MAX = 256;
const RECENT_MS = 60_000;

/** Longest message or payload that is shown, bytes. */
const SHOWN_MAX_BYTES = 16_384;

/** What is shown of one event; the names are those of the JSON. */
interface FeedItem {
  /** Of this run of the gateway, and counting up in it. */
  readonly id: string;
  readonly kind: FeedKind;
  /** ISO 8601. */
  readonly time: string;
  readonly device_id: string;
  readonly message_id?: string | undefined;
  /** Of `rejected`: which check, and what the log says. `retried` and `dead_lettered` say why. */
  readonly code?: string;
  readonly reason?: string;
  /** Of `accepted`, if it is older than the tolerance. */
  readonly late_seconds?: number | undefined;
  /** Of `retried`: how long until the next try. */
  readonly delay_ms?: number;
  /** Of `command` and `callback_delivered`. */
  readonly state?: string | undefined;
  readonly delivery?: string;
  readonly key?: string;
  /** Of `accepted`, if asked for: JSON text. */
  readonly payload?: string;
  /** Of `rejected`, if asked for: the whole message, base64. */
  readonly message?: string;
}

/** What can be seen. */
const FEED_KINDS = [
  "accepted",
  "rejected",
  "delivered",
  "retried",
  "dead_lettered",
  "command",
] as const;
type FeedKind = typeof FEED_KINDS[number];

/** What comes all the time; of a queue with a limit it leaves half to the rest. */
const ROUTINE: ReadonlySet<FeedKind> = new Set(["accepted", "delivered"]);

/** What a follower asked for. */
export interface FeedSelection {
  /** Name of the key that it looks with. */
  readonly owner: string;
  /** Only these devices; undefined: all. */
  readonly deviceIds: readonly string[] | undefined;
  readonly payloads: boolean;
  readonly rejectedMessages: boolean;
  /** The id of the last item that it has. */
  readonly after: string | undefined;
  /** Most items that wait for it; undefined: as many as for anyone. */
  readonly queueMax?: number | undefined;
}

/** Some items, and how many of each kind were left out among them. */
export interface FeedBatch {
  readonly items: readonly FeedItem[];
  readonly omitted: ReadonlyMap<FeedKind, number>;
}

/** Takes items as they come; `end` it when you are done. */
export interface FeedFollower {
  /**
   * Resolves when there are some, after `timeoutMs` or at an end, then perhaps with none; not so soon
   * after the last time as `pauseMs` says.
   */
  next(timeoutMs: number, stop: AbortSignal, pauseMs?: number): Promise<FeedBatch>;
  /** True once the gateway that it follows has ended: it is to ask the next one. */
  readonly isOver: boolean;
  end(): void;
}

/** An item without what all have, and the bytes that are only shown if asked for. */
interface Shown extends Omit<FeedItem, "id" | "time" | "payload" | "message"> {
  readonly payloadBytes?: Uint8Array;
  readonly messageBytes?: Uint8Array;
}

type Kind = GatewayEvent["kind"];

/** What is shown of each event; most are not of one device. */
const SHOWN: { readonly [K in Kind]?: (event: EventOf<K>) => Shown } = {
  message_accepted: ({ entry, lateSeconds }) => ({
    ...{ kind: "accepted", device_id: entry.deviceId, message_id: entry.messageId },
    ...{ late_seconds: lateSeconds, payloadBytes: entry.payload },
  }),
  message_rejected: ({ identity, rejection, messageId, bytes }) => ({
    ...{ kind: "rejected", device_id: identity, message_id: messageId, code: rejection.code },
    ...{ reason: rejectionSentence(rejection, identity), messageBytes: bytes },
  }),
  message_delivered: ({ entry }) => ({
    ...{ kind: "delivered", device_id: entry.deviceId, message_id: entry.messageId },
  }),
  delivery_retried: ({ entry, outcome, delayMs }) => ({
    ...{ kind: "retried", device_id: entry.deviceId, message_id: entry.messageId },
    // What a missing answer's reason says names the backend's address, which is not for every key.
    reason: outcome.kind === "answer" ? `status ${outcome.status}` : "no answer",
    ...{ delay_ms: Math.round(delayMs), state: entry.commandState },
  }),
  message_dead_lettered: ({ entry, reason }) => ({
    ...{ kind: "dead_lettered", device_id: entry.deviceId, message_id: entry.messageId, reason },
  }),
  command_accepted: ({ deviceId, messageId, delivery, keyName }) => ({
    ...{ kind: "command", device_id: deviceId, message_id: messageId, delivery, key: keyName },
  }),
  command_state_changed: ({ deviceId, messageId, state, keyName }) => ({
    ...{ kind: "command", device_id: deviceId, message_id: messageId, state, key: keyName },
  }),
};

/** The feed. */
export class EventFeed {
  readonly #clock: Clock;
  readonly #run: string;
  readonly #followers = new Set<Queue>();
  #recent: (Shown & Pick<FeedItem, "id" | "time">)[] = [];
  #count = 0;
  /** Until when items are made, monotonic; it ends some time after the last follower. */
  #untilMs = -Infinity;

  /** `run` tells this run from others: letters and digits. */
  constructor(clock: Clock, run: string) {
    this.#clock = clock;
    this.#run = run;
  }

  /** Shows an event to all who follow its device. */
  take(event: GatewayEvent): void {
    if (this.#untilMs === -Infinity) return;
    const show = SHOWN[event.kind] as ((event: GatewayEvent) => Shown) | undefined;
    if (show === undefined) return;
    if (this.#followers.size === 0 && this.#clock.monotonicMs() > this.#untilMs) {
      this.#untilMs = -Infinity;
      this.#recent = [];
      return;
    }
    const time = new Date(this.#clock.wallMs()).toISOString();
    const item = { id: `${this.#run}-${++this.#count}`, time, ...show(event) };
    this.#recent.push(item);
    if (this.#recent.length > RECENT_MAX) this.#recent.shift();
    for (const follower of this.#followers) follower.put(item);
  }

  /** The gateway ends: those who follow it ask again, and the next one goes on where they were. */
  release(): void {
    for (const follower of this.#followers) follower.close();
  }

  /** Begins to follow; undefined if too many do. */
  follow(selection: FeedSelection): FeedFollower | undefined {
    const { size: all } = this.#followers;
    const own = [...this.#followers].filter(({ owner }) => owner === selection.owner).length;
    if (all >= FOLLOWERS_MAX || own >= FOLLOWERS_OF_ONE_MAX) return undefined;
    const queue = new Queue(selection);
    const last = this.#recent.findIndex(({ id }) => id === selection.after);
    if (last !== -1) { for (const item of this.#recent.slice(last + 1)) queue.put(item); }
    this.#followers.add(queue);
    this.#untilMs = Infinity;
    return {
      next: (...how) => queue.next(...how),
      get isOver() {
        return queue.isOver;
      },
      end: () => {
        this.#followers.delete(queue);
        if (this.#followers.size === 0) this.#untilMs = this.#clock.monotonicMs() + RECENT_MS;
      },
    };
  }
}

/** What waits for one follower. */
class Queue {
  isOver = false;
  readonly #selection: FeedSelection;
  readonly #deviceIds: ReadonlySet<string> | undefined;
  readonly #max: number;
  readonly #routineMax: number;
  #items: FeedItem[] = [];
  #omitted = new Map<FeedKind, number>();
  #wake = () => {};
  /** When items were last taken, monotonic. */
  #takenMs = -Infinity;

  constructor(selection: FeedSelection) {
    this.#selection = selection;
    this.#deviceIds = selection.deviceIds && new Set(selection.deviceIds);
    const { queueMax } = selection;
    this.#max = Math.min(queueMax ?? QUEUE_MAX, QUEUE_MAX);
    this.#routineMax = queueMax === undefined ? this.#max : Math.ceil(this.#max / 2);
  }

  get owner(): string {
    return this.#selection.owner;
  }

  put(shown: Shown & Pick<FeedItem, "id" | "time">): void {
    if (this.#deviceIds?.has(shown.device_id) === false) return;
    const max = ROUTINE.has(shown.kind) ? this.#routineMax : this.#max;
    if (this.#items.length >= max) return this.#omit(shown.kind); // first, since a flood is mostly that
    const { payloadBytes, messageBytes, ...item } = shown;
    const { payloads, rejectedMessages } = this.#selection;
    const payload = payloads ? textOf(payloadBytes) : undefined;
    const message = rejectedMessages ? base64Of(messageBytes) : undefined;
    this.#items.push({
      ...item,
      ...(payload !== undefined && { payload }),
      ...(message !== undefined && { message }),
    });
    this.#wake();
  }

  /** Nothing more is waited for. */
  close(): void {
    this.isOver = true;
    this.#wake();
  }

  async next(timeoutMs: number, stop: AbortSignal, pauseMs = 0): Promise<FeedBatch> {
    const restMs = this.#takenMs + pauseMs - performance.now();
    if (restMs > 0 && !this.isOver) { // nothing that comes ends it
      await pause(restMs, undefined, { signal: stop }).catch(() => {});
    }
    if (this.#items.length === 0 && !stop.aborted && !this.isOver) {
      await this.#news(timeoutMs, stop);
    }
    const batch = { items: this.#items, omitted: this.#omitted };
    this.#items = [];
    this.#omitted = new Map();
    this.#takenMs = performance.now();
    return batch;
  }

  #omit(kind: FeedKind): void {
    this.#omitted.set(kind, (this.#omitted.get(kind) ?? 0) + 1);
  }

  async #news(timeoutMs: number, stop: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, timeoutMs);
    const wake = () => resolve();
    stop.addEventListener("abort", wake);
    this.#wake = wake;
    await promise;
    stop.removeEventListener("abort", wake);
    clearTimeout(timer);
  }
}

function textOf(bytes: Uint8Array | undefined): string | undefined {
  return fits(bytes) ? new TextDecoder().decode(bytes) : undefined;
}

function base64Of(bytes: Uint8Array | undefined): string | undefined {
  return fits(bytes) ? bytes.toBase64() : undefined;
}

function fits(bytes: Uint8Array | undefined): bytes is Uint8Array {
  return bytes !== undefined && bytes.length <= SHOWN_MAX_BYTES;
}
