/**
 * What this gateway knows of the others: where devices were heard last, who is at work, and what has
 * become of what they were asked. All of it is told by the store, and looked up when it was missed.
 */

import type { NodeListener, NodeStore, SeenNode } from "../../core/ports.ts";

/** How long an outcome is kept that nobody has asked for yet, milliseconds. */
const FORGET_MS = 5_000;

/** Most devices that are known to be elsewhere: anybody may tell who may use the database. */
const ELSEWHERE_MAX = 200_000;

/** Most outcomes that are kept which nobody has asked for yet. */
const CONCLUDED_MAX = 10_000;

/** Hears of what concerns this gateway. */
interface PresenceConsumer {
  /** The device was heard, here or elsewhere: what waits for it may be sent. */
  moved(deviceId: string): void;
  /** There may be mail for this gateway. */
  mailCame(): void;
  /** A command was changed elsewhere. */
  commandChanged(messageId: string): void;
}

/** The knowledge. */
export class Presence implements NodeListener {
  readonly #nodes: Pick<NodeStore, "devicesElsewhere">;
  readonly #node: string;
  #elsewhere = new Map<string, string>();
  #others: readonly string[] = [];
  #silent = 0;
  #consumer: PresenceConsumer | undefined;
  readonly #awaited = new Map<number, () => void>();
  /** What was told before anybody waited for it, and when it is forgotten. */
  readonly #concluded = new Map<number, ReturnType<typeof setTimeout>>();

  /** `node` is this gateway's name. */
  constructor(nodes: Pick<NodeStore, "devicesElsewhere">, node: string) {
    this.#nodes = nodes;
    this.#node = node;
  }

  /** Begins to tell. */
  start(consumer: PresenceConsumer): void {
    this.#consumer = consumer;
  }

  /** Where a device was heard last, if that was not here; undefined if it was, or is not known. */
  nodeOf(deviceId: string): string | undefined {
    return this.#elsewhere.get(deviceId);
  }

  /** The device was heard here: what is told of it may come later. */
  here(deviceId: string): void {
    this.#elsewhere.delete(deviceId);
  }

  /** Devices that were heard last elsewhere. */
  get size(): number {
    return this.#elsewhere.size;
  }

  /** Waits for nothing any longer. */
  close(): void {
    for (const end of [...this.#awaited.values()]) end();
    for (const timer of this.#concluded.values()) clearTimeout(timer);
    this.#concluded.clear();
  }

  /** The others that are at work. */
  others(): readonly string[] {
    return this.#others;
  }

  /** How many others there are whose lease is over. */
  get silent(): number {
    return this.#silent;
  }

  /** What a renewal of the lease has shown. */
  seen(nodes: readonly SeenNode[]): void {
    this.#others = nodes.filter(({ leftMs }) => leftMs > 0).map(({ node }) => node);
    this.#silent = nodes.length - this.#others.length;
  }

  /** Resolves when it is known what has become of mail, or after `timeoutMs`. */
  async concluded(number: number, timeoutMs: number): Promise<void> {
    const known = this.#concluded.get(number);
    clearTimeout(known);
    if (this.#concluded.delete(number)) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.#awaited.set(number, () => {
        clearTimeout(timer);
        resolve();
      });
    });
    this.#awaited.delete(number);
  }

  listening(): void {
    this.#reload();
    this.#consumer?.mailCame();
  }

  moved(deviceId: string, node: string): void {
    if (node === this.#node) this.#elsewhere.delete(deviceId);
    else if (this.#elsewhere.size < ELSEWHERE_MAX) this.#elsewhere.set(deviceId, node);
    this.#consumer?.moved(deviceId);
  }

  mailCame(): void {
    this.#consumer?.mailCame();
  }

  mailConcluded(number: number): void {
    const awaited = this.#awaited.get(number);
    if (awaited) return awaited();
    if (this.#concluded.size >= CONCLUDED_MAX) return; // who asks waits, and looks it up
    clearTimeout(this.#concluded.get(number));
    this.#concluded.set(number, setTimeout(() => this.#concluded.delete(number), FORGET_MS));
  }

  commandChanged(messageId: string): void {
    this.#consumer?.commandChanged(messageId);
  }

  async #reload(): Promise<void> {
    try {
      this.#elsewhere = new Map(await this.#nodes.devicesElsewhere());
    } catch {
      // the store's fault, which the committer reports: the next connection looks again
    }
  }
}
