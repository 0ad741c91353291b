/** A message as the gateway would judge it, and everything that the judgement rests on. */

import { type Envelope, readEnvelope } from "../../core/envelope.ts";
import { freshRange } from "../../core/freshness.ts";
import type { Rejection } from "../../core/rejection.ts";
import { importSecret } from "../../core/signature.ts";
import { signedPayloadOf } from "../../core/signed_payload.ts";
import { decide, type Verdict } from "../../core/verdict.ts";
import { activeSecrets, type DeviceWithSecret, statusOf } from "../../store/device_record.ts";
import type { Store } from "../../store/store.ts";

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
  options: { store: Pick<Store, "registry" | "replayIds">; secret: string | undefined },
): Promise<MessageTrial> {
  const { store: { registry, replayIds }, secret } = options;
  const devices = new Map((await registry.list()).map((device) => [device.deviceId, device]));
  return await examine(subject, {
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
  return await examine(subject, {
    devices: undefined,
    secretsOf: () => [secret],
    forgottenSeconds: 0,
    remembers: () => Promise.resolve(false),
  });
}

async function examine(subject: Subject, basis: Basis): Promise<MessageTrial> {
  const { identity, nowSeconds, toleranceSeconds } = subject;
  const { devices, secretsOf, forgottenSeconds } = basis;
  const read = readEnvelope(subject.bytes);
  if (read.kind === "rejected") {
    return { ...subject, read, verdict: read, devices, secretOf: (id) => secretsOf(id)[0] };
  }
  const { secret, signedPayload } = await verifyWith(read, secretsOf(read.deviceId));
  const secretOf = (id: string) => id === read.deviceId ? secret : secretsOf(id)[0];
  const verdict = decide(read, {
    identity,
    retained: subject.retained,
    status: devices ? statusOf(devices.get(read.deviceId), nowSeconds) : "active",
    signedPayload,
    redelivered: false,
    // As the gateway does while it is up: it forgives nothing that waited for it.
    range: freshRange(
      { nowSeconds, outageSinceSeconds: undefined, forgottenSeconds },
      { toleranceSeconds, graceSeconds: 0 },
    ),
    remembered: await basis.remembers(read),
    withinRate: true,
  });
  return { ...subject, read, verdict, devices, secretOf };
}

async function verifyWith(envelope: Envelope, secrets: readonly string[]) {
  for (const secret of secrets) {
    const signedPayload = await signedPayloadOf(envelope, await importSecret(secret));
    if (signedPayload !== undefined) return { secret, signedPayload };
  }
  return { secret: secrets[0], signedPayload: undefined };
}
