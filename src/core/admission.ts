/**
 * The decision on a batch of messages: the verdict on each one, and the state after it.
 *
 * The rules are:
 * - it is pure: the same batch, knowledge and state give the same verdicts, and nothing is changed;
 *   so a commit that fails leaves the state as it was, and the batch can be decided on again;
 * - if a batch has two messages of one device with the same id, the second is a repetition;
 * - only an accepted message takes a rate token.
 */

import type { Acknowledgement } from "./command_life.ts";
import type { Envelope } from "./envelope.ts";
import { type FreshnessLimits, freshRange } from "./freshness.ts";
import type { Rejection } from "./rejection.ts";
import { secondsOf } from "./time.ts";
import { type Rate, refill, type TokenBucket } from "./token_bucket.ts";
import { type Accepted, decideSigned, type Duplicate } from "./verdict.ts";

/** A message that was read, names its own device, and was checked with the device's secrets. */
export interface Candidate {
  readonly kind: "candidate";
  /** The TLS identity behind the topic. */
  readonly identity: string;
  readonly envelope: Envelope;
  /** The payload bytes under a signature that verified; undefined if none did. */
  readonly signedPayload: Uint8Array | undefined;
  /** The broker's DUP flag (MQTT-3.3.1-1). */
  readonly redelivered: boolean;
  /** Wall clock when it arrived, Unix milliseconds. */
  readonly arrivedMs: number;
}

/** A message that was refused before any key was used. */
export interface Refused {
  readonly kind: "refused";
  readonly identity: string;
  /** Undefined if none could be read. */
  readonly messageId: string | undefined;
  readonly rejection: Rejection;
}

/** What a device says of a command, under a signature that verified. */
export interface SignedAcknowledgement {
  readonly kind: "acknowledgement";
  readonly identity: string;
  /** As in the message. */
  readonly messageId: string;
  readonly acknowledgement: Acknowledgement;
}

/** A reading after the verifier. */
export type ExaminedReading = Candidate | Refused;

/** A message after the verifier. */
export type Examined = ExaminedReading | SignedAcknowledgement;

/** The ids that devices have used. */
export interface KnownIds {
  /** True if the device has used this id (a UUID's text, in any case) before. */
  has(deviceId: string, messageId: string): boolean;
}

/** The devices' rate buckets, by device id; a device without one has a full one. */
export type Buckets = ReadonlyMap<string, TokenBucket>;

/** The limits that a decision applies. */
export interface AdmissionPolicy extends FreshnessLimits {
  /** Undefined: no limit. */
  readonly rate: Rate | undefined;
}

/** Facts at the moment of the decision. */
export interface AdmissionFacts {
  /** While catching up: when the gateway last took messages, Unix seconds; see `FreshnessFacts`. */
  readonly outageSinceSeconds: number | undefined;
  /** Timestamps up to and including this one may belong to forgotten ids. */
  readonly forgottenSeconds: number;
  readonly monotonicMs: number;
}

/** The verdict on one message, and the device it came from. */
export interface Decided {
  readonly identity: string;
  readonly verdict: Accepted | Duplicate | Rejection;
  /** Undefined if none could be read. */
  readonly messageId: string | undefined;
  /** The message; undefined if it was refused before any secret was tried. */
  readonly envelope: Envelope | undefined;
}

/** The decision on a batch. */
interface Admission {
  /** In the batch's order. */
  readonly decided: readonly Decided[];
  /** True if an accepted message had waited longer than the tolerance. */
  readonly late: boolean;
  /** The buckets that this batch changes; valid once the batch is on the disk. */
  readonly spent: Buckets;
}

/** Decides on a batch, in its order. */
export function admit(
  batch: readonly ExaminedReading[],
  known: KnownIds,
  { buckets, policy, facts }: {
    readonly buckets: Buckets;
    readonly policy: AdmissionPolicy;
    readonly facts: AdmissionFacts;
  },
): Admission {
  const spent = new Map<string, TokenBucket>();
  const taken = new Set<string>();
  let late = false;
  const decided = batch.map((one): Decided => {
    if (one.kind === "refused") return { ...one, verdict: one.rejection, envelope: undefined };
    const { identity, envelope, signedPayload } = one;
    const { deviceId, messageId, timestampSeconds } = envelope;
    const nowSeconds = secondsOf(one.arrivedMs);
    const bucket = policy.rate &&
      refill(spent.get(deviceId) ?? buckets.get(deviceId), policy.rate, facts.monotonicMs);
    const id = `${messageId.toLowerCase()} ${deviceId}`;
    const verdict = decideSigned(envelope, {
      signedPayload,
      redelivered: one.redelivered,
      range: freshRange({ nowSeconds, ...facts }, policy),
      remembered: signedPayload !== undefined && (taken.has(id) || known.has(deviceId, messageId)),
      withinRate: bucket === undefined || bucket.tokens >= 1,
    });
    if (verdict.kind === "accepted") {
      taken.add(id);
      if (bucket) spent.set(deviceId, { ...bucket, tokens: bucket.tokens - 1 });
      late ||= timestampSeconds < nowSeconds - policy.toleranceSeconds;
    }
    return { identity, messageId, verdict, envelope };
  });
  return { decided, late, spent };
}
