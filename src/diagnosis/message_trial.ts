/** A message as the gateway would judge it, and everything that the judgement rests on. */

import { admit } from "../core/admission.ts";
import { type Envelope, readEnvelope } from "../core/envelope.ts";
import { examine } from "../core/examination.ts";
import type { Rejection } from "../core/rejection.ts";
import { importSecret } from "../core/signature.ts";
import { firstSigner } from "../core/signed_payload.ts";
import type { Verdict } from "../core/verdict.ts";
import { activeSecrets, type DeviceWithSecret, statusOf } from "../store/device_record.ts";
import type { RegistryStore } from "../store/registry.ts";
import type { ReplayIds } from "../store/store.ts";

/** A message, and when and where it is said to have come. */
interface Subject {
  readonly bytes: Uint8Array;
  /** The device id in the topic, which is the certificate's CN. */
  readonly identity: string;
  /** Unix seconds. */
  readonly nowSeconds: number;
  /** False if `nowSeconds` was given and is not the time it is. */
  readonly now: boolean;
  /** True if it is said to have come with the retain flag. */
  readonly retained: boolean;
  /** How far a timestamp may be from now, either way. */
  readonly toleranceSeconds: number;
}

/** A judged message. */
export interface MessageTrial extends Subject {
  readonly read: Envelope | Rejection;
  readonly verdict: Verdict;
  /** Every registered device, by id; undefined without a site. */
  readonly devices: ReadonlyMap<string, DeviceWithSecret> | undefined;
  /** The secret of a device that verifies the message, else its newest; undefined: there is none. */
  readonly secretOf: (deviceId: string) => string | undefined;
}

/** What is asked of a store. */
interface TrialStore {
  readonly registry: Pick<RegistryStore, "list">;
  readonly replayIds: Pick<ReplayIds, "forgottenSeconds" | "has">;
}

/** What the judgement takes from a site, or does without. */
interface Basis {
  readonly devices: ReadonlyMap<string, DeviceWithSecret> | undefined;
  /** The newest first. */
  readonly secretsOf: (deviceId: string) => readonly string[];
  readonly forgottenSeconds: number;
  readonly remembers: (envelope: Envelope) => Promise<boolean>;
}

/** Tries a message with a site's registry and memory, and `secret` if one is given. */
export async function tryInSite(
  subject: Subject,
  options: { readonly store: TrialStore; readonly secret: string | undefined },
): Promise<MessageTrial> {
  const { store: { registry, replayIds }, secret } = options;
  const devices = new Map((await registry.list()).map((device) => [device.deviceId, device]));
  return await judge(subject, {
    devices,
    secretsOf: (deviceId) => {
      const device = devices.get(deviceId);
      if (secret !== undefined || device === undefined) return secret === undefined ? [] : [secret];
      return activeSecrets(device, subject.nowSeconds).map(({ sharedSecret }) => sharedSecret);
    },
    // What is forgotten now was not at another time.
    forgottenSeconds: subject.now ? await replayIds.forgottenSeconds() : 0,
    remembers: ({ deviceId, messageId }) => replayIds.has(deviceId, messageId),
  });
}

/** Tries a message with nothing but a secret, as if its device were registered. */
export async function tryAlone(subject: Subject, secret: string): Promise<MessageTrial> {
  return await judge(subject, {
    devices: undefined,
    secretsOf: () => [secret],
    forgottenSeconds: 0,
    remembers: () => Promise.resolve(false),
  });
}

async function judge(subject: Subject, basis: Basis): Promise<MessageTrial> {
  const { identity, retained, nowSeconds, toleranceSeconds } = subject;
  const { devices, secretsOf, forgottenSeconds } = basis;
  const read = readEnvelope(subject.bytes);
  const envelope = read.kind === "envelope" ? read : undefined;
  const signer = envelope &&
    await firstSigner(envelope, secretsOf(envelope.deviceId), importSecret);
  const remembered = envelope !== undefined && await basis.remembers(envelope);
  const arrival = { identity, retained, redelivered: false, arrivedMs: nowSeconds * 1000 };
  const examined = await examine(read, arrival, {
    statusOf: (id) => devices ? statusOf(devices.get(id), nowSeconds) : "active",
    signedPayload: () => Promise.resolve(signer?.payload),
  });
  // As the gateway does while it is up: it forgives nothing that waited for it.
  const { decided } = admit([examined], { has: () => remembered }, {
    buckets: new Map(),
    policy: { toleranceSeconds, graceSeconds: 0, rate: undefined },
    facts: { outageSinceSeconds: undefined, forgottenSeconds, monotonicMs: 0 },
  });
  const secretOf = (id: string) =>
    signer && id === envelope?.deviceId ? signer.secret : secretsOf(id)[0];
  return { ...subject, read, verdict: decided[0]!.verdict, devices, secretOf };
}
