/**
 * Whether the gateway is taking messages, and since when it was not.
 *
 * The rules are:
 * - it attends while nothing hinders it: the broker is connected, the outbox has room, the store
 *   can be written;
 * - after an absence it first catches up: what waited in the broker comes before a marker that the
 *   gateway sends to itself, since a broker keeps a session's order [MQTT-4.6.0-6]; only when that
 *   marker has come does the absence end;
 * - a marker that was sent before the latest hindrance proves nothing, and is sent anew;
 * - the last moment of attendance is kept on the disk, so that a stop of any kind is an absence.
 */

/** What can keep the gateway from taking messages. */
export type OutageCause = "broker" | "outbox" | "store";

/** Without a marker, an absence ends when for so long nothing came that had waited. */
export const QUIET_SECONDS = 60;

/** The gateway's attendance. */
export class Outage {
  readonly #run: string;
  readonly #hindrances = new Set<OutageCause>(["broker"]);
  #lastSeconds: number | undefined;
  #caughtUp = false;
  #absence = 0;
  #underWay: string | undefined;
  #quietSinceMs: number | undefined;

  /** `run` tells this run's markers from another's; `lastSeconds`: what an earlier run has kept. */
  constructor(run: string, lastSeconds: number | undefined) {
    this.#run = run;
    this.#lastSeconds = lastSeconds;
  }

  /** While catching up: when the gateway was last there, Unix seconds; see `FreshnessFacts`. */
  get outageSinceSeconds(): number | undefined {
    return this.#caughtUp ? undefined : this.#lastSeconds;
  }

  /** True while the gateway takes what comes, and nothing older waits. */
  get caughtUp(): boolean {
    return this.#caughtUp;
  }

  /** Something keeps the gateway from taking messages. */
  begin(hindrance: OutageCause): void {
    if (this.#hindrances.has(hindrance)) return;
    this.#hindrances.add(hindrance);
    this.#caughtUp = false;
    this.#absence++;
    if (hindrance === "broker") this.#underWay = undefined;
  }

  /** It does so no longer. */
  end(hindrance: OutageCause): void {
    this.#hindrances.delete(hindrance);
    this.#quietSinceMs = undefined;
  }

  /** The marker to send now; undefined where none is due, or one is under way. */
  markerDue(): string | undefined {
    if (this.#caughtUp || this.#hindrances.size > 0 || this.#underWay) return undefined;
    return this.#underWay = this.#marker();
  }

  /** A marker could not be sent. */
  markerFailed(marker: string): void {
    if (this.#underWay === marker) this.#underWay = undefined;
  }

  /** A marker has come; what waited before it is taken. */
  markerCame(marker: string): void {
    if (this.#underWay === marker) this.#underWay = undefined;
    if (this.#hindrances.size === 0 && marker === this.#marker()) this.#caughtUp = true;
  }

  /** A message came that had waited; `nowMs` is monotonic. */
  lateCame(nowMs: number): void {
    this.#quietSinceMs = nowMs;
  }

  /** True, once, where the marker has not come and nothing late has for long; `nowMs` is monotonic. */
  expiresQuietly(nowMs: number): boolean {
    if (this.#caughtUp || this.#hindrances.size > 0) return false;
    this.#quietSinceMs ??= nowMs;
    this.#caughtUp = nowMs - this.#quietSinceMs >= QUIET_SECONDS * 1000;
    return this.#caughtUp;
  }

  /** The gateway is there now; returns the moment to be kept, undefined while it catches up. */
  touch(nowSeconds: number): number | undefined {
    if (this.#caughtUp) this.#lastSeconds = nowSeconds;
    return this.#caughtUp ? nowSeconds : undefined;
  }

  #marker(): string {
    return `${this.#run} ${this.#absence}`;
  }
}
