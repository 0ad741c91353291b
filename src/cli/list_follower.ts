/**
 * Keeps this machine's broker on the newest lists in the shared store.
 *
 * The rules are:
 * - it tries again what failed, and says only what is new;
 * - what the store or the broker does while it is away ends nothing;
 * - the node's number in the store is that of the lists that were proved, and of none before.
 */

import { setTimeout as pause } from "node:timers/promises";
import { faultText } from "../core/fault_text.ts";
import { type OpenSite, readBrokerAccess } from "../site/operations/broker_access.ts";
import { followLists, probeCertificate } from "../site/operations/follow_lists.ts";
import type { RevocationResult } from "../site/operations/revocation.ts";
import type { SharedLists } from "../store/shared_lists.ts";
import { StoreError } from "../store/store_error.ts";
import { faultSentence } from "./revocation_report.ts";

/** How often the store is asked for newer lists, milliseconds. */
const LOOK_EVERY_MS = 1_000;

/** How often it is tried again to bring the broker to those that are there. */
const AGAIN_MS = 5_000;

/** What became of lists. */
export interface Followed extends RevocationResult {
  readonly listNumber: number;
}

/** Hears what is new. */
interface FollowerConsumer {
  followed(result: Followed): void;
  /** The store cannot be asked; undefined: it can be again. */
  storeFault(reason: string | undefined): void;
}

/** The follower of one node. */
export class ListFollower {
  readonly #lists: SharedLists;
  readonly #site: Omit<OpenSite, "nowMs">;
  readonly #node: string;
  #tried = { number: 0, atMs: -Infinity };
  #said = "";
  #storeFault: string | undefined;

  constructor(lists: SharedLists, site: Omit<OpenSite, "nowMs">) {
    this.#lists = lists;
    this.#site = site;
    this.#node = site.config.node.name;
  }

  /** Follows until `signal`. */
  async run(signal: AbortSignal, consumer: FollowerConsumer): Promise<void> {
    let isFirst = true;
    while (!signal.aborted) {
      try {
        const result = await this.#look(isFirst);
        if (result !== undefined) {
          isFirst = false;
          this.#tell(result, consumer);
        }
        this.#tellStore(undefined, consumer);
      } catch (error) {
        if (!(error instanceof StoreError)) throw error;
        this.#tellStore(faultText(error), consumer);
      }
      await pause(LOOK_EVERY_MS, undefined, { signal }).catch(() => {});
    }
  }

  /** Gives the broker what is there now; undefined if there is nothing. */
  async once(): Promise<Followed | undefined> {
    const published = await this.#lists.newest();
    if (published === undefined) return undefined;
    const { used } = await this.#lists.numbers(this.#node);
    const read = await readBrokerAccess({ ...this.#site, nowMs: Date.now() });
    const result = read.ok
      ? await followLists(published, read.access, { since: used ?? 0 })
      : { steps: [], fault: read.fault };
    const fault = result.fault && faultSentence(result.fault)[0];
    await this.#lists.note({
      node: this.#node,
      number: result.fault === undefined ? published.number : used,
      fault,
      probe: await probeCertificate(this.#site.layout),
    });
    return { ...result, listNumber: published.number };
  }

  /** Does what is due; undefined if nothing is. */
  async #look(isFirst: boolean): Promise<Followed | undefined> {
    const { newest, used } = await this.#lists.numbers(this.#node);
    if (newest === 0 || newest === used && !isFirst) return undefined;
    const isNew = newest !== this.#tried.number;
    if (!isNew && performance.now() - this.#tried.atMs < AGAIN_MS) return undefined;
    const result = await this.once();
    this.#tried = { number: newest, atMs: performance.now() };
    return result;
  }

  #tell(result: Followed, consumer: FollowerConsumer): void {
    const said = JSON.stringify([result.listNumber, result.fault]);
    if (said !== this.#said) consumer.followed(result);
    this.#said = said;
  }

  #tellStore(reason: string | undefined, consumer: FollowerConsumer): void {
    if (reason !== this.#storeFault) consumer.storeFault(reason);
    this.#storeFault = reason;
  }
}
