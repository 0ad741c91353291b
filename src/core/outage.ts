/**
 * Whether the gateway is taking messages, and since when it was not.
 *
 * The rules are:
 * - it takes messages while the broker is connected, the outbox has room and the store can be
 *   written; a cause of an outage is the lack of one of them;
 * - after an outage it first catches up: what waited in the broker comes before a marker that the
 *   gateway sends to itself, since a broker keeps a session's order [MQTT-4.6.0-6]; the outage ends
 *   only when that marker has come;
 * - a marker that was sent before the latest cause began proves nothing, so a new one is sent;
 * - the last time at which it took messages is kept on the disk, so any stop counts as an outage.
 */

/** What can keep the gateway from taking messages. */
export type OutageCause = "broker" | "outbox" | "store";

/** If no marker comes, an outage ends after this time without a message that had waited. */
export const QUIET_SECONDS = 60;

/** The state of the gateway's current or last outage. */
export class Outage {
  readonly #run: string;
  readonly #hindrances = new Set<OutageCause>(["broker"]);
  #lastSeconds: number | undefined;
  #caughtUp = false;
  #absence = 0;
  #underWay: string | undefined;
  #quietSinceMs: number | undefined;

  /** `run` identifies this run's markers; `lastSeconds`: the time that an earlier run stored. */
  constructor(run: string, lastSeconds: number | undefined) {
    this.#run = run;
    this.#lastSeconds = lastSeconds;
  }

  /** While catching up: when the gateway last took messages, Unix seconds; see `FreshnessFacts`. */
  get outageSinceSeconds(): number | undefined {
    return this.#caughtUp ? undefined : this.#lastSeconds;
  }

  /** True while the gateway takes messages and no older ones wait. */
  get caughtUp(): boolean {
    return this.#caughtUp;
  }

  /** This cause now keeps the gateway from taking messages. */
  begin(hindrance: OutageCause): void {
    if (this.#hindrances.has(hindrance)) return;
    this.#hindrances.add(hindrance);
    this.#caughtUp = false;
    this.#absence++;
    if (hindrance === "broker") this.#underWay = undefined;
  }

  /** This cause has ended. */
  end(hindrance: OutageCause): void {
    this.#hindrances.delete(hindrance);
    this.#quietSinceMs = undefined;
  }

  /** The marker to send now; undefined if none is due, or one was sent and has not come yet. */
  markerDue(): string | undefined {
    if (this.#caughtUp || this.#hindrances.size > 0 || this.#underWay) return undefined;
    return this.#underWay = this.#marker();
  }

  /** A marker could not be sent. */
  markerFailed(marker: string): void {
    if (this.#underWay === marker) this.#underWay = undefined;
  }

  /** A marker has come; every message before it has been taken. */
  markerCame(marker: string): void {
    if (this.#underWay === marker) this.#underWay = undefined;
    if (this.#hindrances.size === 0 && marker === this.#marker()) this.#caughtUp = true;
  }

  /** A message that had waited has come; `nowMs` is monotonic. */
  lateCame(nowMs: number): void {
    this.#quietSinceMs = nowMs;
  }

  /** True, once, if neither the marker nor a late message came for long; `nowMs` is monotonic. */
  expiresQuietly(nowMs: number): boolean {
    if (this.#caughtUp || this.#hindrances.size > 0) return false;
    this.#quietSinceMs ??= nowMs;
    this.#caughtUp = nowMs - this.#quietSinceMs >= QUIET_SECONDS * 1000;
    return this.#caughtUp;
  }

  /** Call while taking messages; returns the time to store, undefined while catching up. */
  touch(nowSeconds: number): number | undefined {
    if (this.#caughtUp) this.#lastSeconds = nowSeconds;
    return this.#caughtUp ? nowSeconds : undefined;
  }

  #marker(): string {
    return `${this.#run} ${this.#absence}`;
  }
}
