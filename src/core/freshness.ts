/**
 * How old a message may be.
 *
 * The rules are:
 * - a timestamp may differ from now by the tolerance, either way;
 * - while the gateway catches up with what waited in the broker, it may be as old as the last time
 *   at which the gateway was taking messages, less the tolerance: what was sent since then was
 *   fresh when it was sent, but the gateway could not take it;
 * - the grace limits how far back that goes; on a first start there is no such time, so it is 0;
 * - a timestamp up to the newest one whose id may be forgotten is never accepted, whatever the
 *   clock says: so a clock that steps back does not make old messages fresh again.
 */

/** The configured limits. */
export interface FreshnessLimits {
  readonly toleranceSeconds: number;
  /** How far back an outage may extend the range; 0: not at all. */
  readonly graceSeconds: number;
}

/** The accepted timestamps, Unix seconds; both ends are included. */
export interface FreshRange {
  readonly oldest: number;
  readonly newest: number;
  /** The wall clock by which they were made. */
  readonly nowSeconds: number;
}

/** What the range depends on, besides the limits. */
export interface FreshnessFacts {
  /** The wall clock when the message arrived, Unix seconds. */
  readonly nowSeconds: number;
  /**
   * While catching up: when the gateway was last taking messages, Unix seconds; undefined if it
   * has caught up, or never took any.
   */
  readonly outageSinceSeconds: number | undefined;
  /** Timestamps up to and including this one may belong to ids that are forgotten. */
  readonly forgottenSeconds: number;
}

/** The timestamps that may be accepted now. */
export function freshRange(facts: FreshnessFacts, limits: FreshnessLimits): FreshRange {
  const { nowSeconds, forgottenSeconds } = facts;
  const remembered = oldestRemembered(facts, limits);
  return {
    oldest: Math.max(remembered, forgottenSeconds + 1),
    newest: nowSeconds + limits.toleranceSeconds,
    nowSeconds,
  };
}

/** The oldest timestamp whose id must be remembered, Unix seconds. */
export function oldestRemembered(
  facts: Omit<FreshnessFacts, "forgottenSeconds">,
  limits: FreshnessLimits,
): number {
  const { nowSeconds, outageSinceSeconds } = facts;
  const forgiven = outageSinceSeconds === undefined
    ? nowSeconds
    : Math.max(outageSinceSeconds, nowSeconds - limits.graceSeconds);
  return Math.min(nowSeconds, forgiven) - limits.toleranceSeconds;
}

/**
 * The age of a message in seconds if it is older than a live message can be; undefined otherwise.
 * The value of the header X-Gateway-Late.
 */
export function lateSeconds(
  timestampSeconds: number,
  nowSeconds: number,
  toleranceSeconds: number,
): number | undefined {
  const ageSeconds = nowSeconds - timestampSeconds;
  return ageSeconds > toleranceSeconds ? ageSeconds : undefined;
}
