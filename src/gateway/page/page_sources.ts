/** Where the page's API has everything from. */

import type { StoreCounts } from "../../core/ports.ts";
import type { DeviceKeys } from "../../store/device_keys.ts";
import type { Store } from "../../store/store.ts";
import type { Clock } from "../../time/clock.ts";
import type { Forwarder } from "../pipeline/forwarder.ts";
import type { PageMemory } from "./page_memory.ts";

/** What it reads in the store. */
type ReadStore = Pick<
  Store,
  "registry" | "audit" | "commands" | "deadLetters" | "nodes" | "lists"
>;

/** The gateway, as far as it is looked at. */
export interface PageSources {
  readonly clock: Clock;
  /** The clock of `OutboxEntry.acceptedMs`. */
  readonly steadyMs: () => number;
  readonly about: {
    readonly version: string;
    readonly node: string;
    readonly engine: "sqlite" | "postgres";
    readonly toleranceSeconds: number;
    /** Wall clock. */
    readonly startedMs: number;
  };
  /** Why the gateway is not ready, and what else is wrong. */
  unreadiness(): readonly string[];
  degraded(): readonly string[];
  readonly broker: { readonly isConnected: boolean };
  readonly forwarder: Pick<Forwarder, "isBackendFailing" | "stuckLanes" | "lanes" | "laneStates">;
  readonly committer: { readonly pending: number; readonly fault: string | undefined };
  readonly intake: { readonly isPaused: boolean };
  readonly catchUp: { readonly isDone: boolean };
  readonly messages: { counts(): Promise<StoreCounts> };
  readonly keys: Pick<DeviceKeys, "refresh" | "known" | "find">;
  readonly store: ReadStore;
  /** When files end, Unix seconds, by their paths. */
  readonly fileEnds: ReadonlyMap<string, number>;
  readonly memory: PageMemory;
  /**
   * A store of its own, for a change: the gateway hears of it as of any other program's. Close it.
   */
  openStore(): Promise<Pick<Store, "outbox" | "deadLetters" | "close">>;
}
