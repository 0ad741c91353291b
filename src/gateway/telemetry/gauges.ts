/**
 * What is asked when the metrics are read, and at no other time.
 *
 * The rules are:
 * - the store is asked once for all of them;
 * - if it does not answer in time, what it would have said is left out, and the rest is there: that
 *   is when the rest is needed.
 */

import type { StoreCounts } from "../../core/ports.ts";
import { secondsOf } from "../../core/time.ts";
import { inTime } from "../../time/time_limit.ts";

/** How long the store may take, milliseconds. */
const STORE_TIMEOUT_MS = 2_000;

/** The parts of a gateway that are asked. */
export interface GaugeSources {
  readonly pending: () => number;
  /** `store.max_pending`. */
  readonly pendingLimit: number;
  readonly devices: () => number;
  /** Why messages are not taken, and what else is wrong. */
  readonly unreadiness: () => readonly string[];
  readonly degraded: () => readonly string[];
  readonly isStoreFailing: () => boolean;
  readonly brokerConnected: () => boolean;
  readonly intakePaused: () => boolean;
  readonly catchingUp: () => boolean;
  readonly forwarder: { readonly isBackendFailing: boolean; readonly stuckLanes: number };
  /** By how much the backend's clock is ahead of this machine's. */
  readonly backendAheadSeconds: () => number;
  /** The clock of `StoreCounts.oldestAcceptedMs`. */
  readonly steadyMs: () => number;
  readonly counts: () => Promise<StoreCounts>;
  /** This gateway among others; undefined: it is alone. */
  readonly cluster: {
    readonly devicesElsewhere: number;
    readonly silentNodes: number;
    readonly skewSeconds: number;
  } | undefined;
}

/** One gauge; undefined: nothing is known now. */
export interface GaugeRow {
  readonly name: string;
  readonly help: string;
  readonly read: () => number | undefined;
}

/** The gauges of a gateway. */
export class Gauges {
  readonly #sources: GaugeSources;
  #counts: StoreCounts | undefined;
  /** Until the store answers, it is not asked again. */
  #asked: Promise<StoreCounts> | undefined;

  constructor(sources: GaugeSources) {
    this.#sources = sources;
  }

  /** Asks the store; the rows say what it said last. */
  async refresh(): Promise<void> {
    this.#asked ??= this.#sources.counts().finally(() => this.#asked = undefined);
    this.#counts = await inTime(this.#asked, STORE_TIMEOUT_MS);
  }

  /** Every gauge, in the order of the exposition. */
  rows(): GaugeRow[] {
    return [...this.#stateRows(), ...this.#storeRows(), ...this.#nodeRows()];
  }

  #stateRows(): GaugeRow[] {
    const { forwarder, ...sources } = this.#sources;
    return [
      row(
        "ready",
        "1 while messages are taken, as /readyz says",
        () => Number(sources.unreadiness().length === 0),
      ),
      row(
        "degraded",
        "What else is wrong, as /readyz says: how many reasons",
        () => sources.degraded().length,
      ),
      row("broker_connected", "1 while connected", () => Number(sources.brokerConnected())),
      row("catching_up", "1 while taking what waited", () => Number(sources.catchingUp())),
      row("intake_paused", "1 while the outbox is full", () => Number(sources.intakePaused())),
      row(
        "store_failing",
        "1 while the store cannot be written",
        () => Number(sources.isStoreFailing()),
      ),
      row(
        "backend_failing",
        "1 while the backend takes nothing",
        () => Number(forwarder.isBackendFailing),
      ),
      row("stuck_lanes", "Devices held up by one entry", () => forwarder.stuckLanes),
      row("pending", "Entries in the outbox", sources.pending),
      row("pending_limit", "Entries with which the outbox is full", () => sources.pendingLimit),
      row("devices", "Devices in the registry", sources.devices),
      row(
        "backend_clock_skew_seconds",
        "By how much at least this machine's clock is ahead of the backend's, as its last Date said",
        () => -sources.backendAheadSeconds(),
      ),
    ];
  }

  #storeRows(): GaugeRow[] {
    const count = (name: keyof StoreCounts) => this.#counts?.[name];
    return [
      row("oldest_pending_seconds", "Age of the oldest entry in the outbox", () => {
        const acceptedMs = count("oldestAcceptedMs");
        if (acceptedMs === undefined) return undefined;
        return Math.max(0, secondsOf(this.#sources.steadyMs() - acceptedMs));
      }),
      row("dead_letters", "Dead letters", () => count("deadLetters")),
      row("commands_waiting", "Commands that wait", () => count("commandsWaiting")),
      row("replay_ids", "Message ids remembered", () => count("replayIds")),
      row(
        "lists_behind",
        "Lists in the shared store that this gateway's broker does not use yet",
        () => count("listsBehind"),
      ),
    ];
  }

  #nodeRows(): GaugeRow[] {
    const { cluster } = this.#sources;
    return [
      row(
        "devices_elsewhere",
        "Devices that were heard last at another gateway",
        () => cluster?.devicesElsewhere ?? 0,
      ),
      row(
        "silent_nodes",
        "Other gateways on this store whose lease is over",
        () => cluster?.silentNodes ?? 0,
      ),
      row(
        "store_clock_skew_seconds",
        "By how much this machine's clock is ahead of the store's",
        () => cluster?.skewSeconds ?? 0,
      ),
    ];
  }
}

function row(name: string, help: string, read: () => number | undefined): GaugeRow {
  return { name, help, read };
}
