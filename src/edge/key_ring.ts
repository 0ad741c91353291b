/**
 * The registry as a running gateway sees it: in memory, with each secret made into a key once, and
 * never older than the store.
 */

import type { DeviceStanding } from "../core/device.ts";
import type { Envelope } from "../core/envelope.ts";
import { importSecret, type SecretKey } from "../core/signature.ts";
import { signedPayloadOf } from "../core/signed_payload.ts";
import { type DeviceWithSecret, type Registry, type SecretUse, standingOf } from "./registry.ts";
import type { Store } from "./store.ts";

/** One secret of a device. */
interface Secret {
  readonly generation: number;
  readonly sharedSecret: string;
  /** Unix seconds; undefined where no end is set. */
  readonly until: number | undefined;
  /** Undefined until the first message; then the key, or undefined inside where there is none. */
  key: Promise<SecretKey | undefined> | undefined;
  /** Unix seconds; 0 where the device has never used it. */
  lastUsed: number;
  /** What of `lastUsed` is in the store. */
  notedUsed: number;
}

interface Ring {
  readonly device: DeviceWithSecret;
  /** The newest first. */
  readonly secrets: readonly [Secret, ...Secret[]];
}

/** Seconds between two notes of one secret's use. */
const NOTE_EVERY_SECONDS = 60;

/** Devices by id, each with its key. */
export class KeyRing {
  readonly #store: Store;
  readonly #registry: Registry;
  #rings = new Map<string, Ring>();
  #dataVersion = -1;
  #revision = -1;
  #notedSeconds = 0;

  constructor(store: Store, registry: Registry) {
    this.#store = store;
    this.#registry = registry;
    this.refresh();
  }

  /** Takes in what another process has changed; cheap where nothing was. */
  refresh(): void {
    const dataVersion = this.#store.dataVersion();
    if (dataVersion === this.#dataVersion) return;
    const revision = this.#registry.revision();
    if (revision !== this.#revision) this.#rings = this.#reload();
    this.#revision = revision;
    this.#dataVersion = dataVersion;
  }

  /** Where a device stands at `nowSeconds`. */
  standing(deviceId: string, nowSeconds: number): DeviceStanding {
    return standingOf(this.#rings.get(deviceId)?.device, nowSeconds);
  }

  /**
   * The key under which a registered device is spoken to: of the newest secret that it has used, or
   * of the oldest where it has used none; undefined where its secret makes none.
   */
  key(deviceId: string, nowSeconds = 0): Promise<SecretKey | undefined> {
    const known = this.#rings.get(deviceId)?.secrets ?? [];
    const secrets = known.filter((secret) => isGood(secret, nowSeconds));
    const spoken = secrets.find(({ lastUsed }) => lastUsed > 0) ?? secrets.at(-1);
    return spoken ? keyOf(spoken) : Promise.resolve(undefined);
  }

  /** The payload bytes under the signature that any secret of the device verifies. */
  async signedPayload(envelope: Envelope, nowSeconds: number): Promise<Uint8Array | undefined> {
    for (const secret of this.#rings.get(envelope.deviceId)?.secrets ?? []) {
      if (!isGood(secret, nowSeconds)) continue;
      const payload = await signedPayloadOf(envelope, await keyOf(secret));
      if (payload === undefined) continue;
      secret.lastUsed = nowSeconds;
      return payload;
    }
    return undefined;
  }

  /**
   * Writes down which secrets were used: a first use at once, the others once a minute, or now where
   * `all` says so. Returns the first uses.
   */
  noteUses(options: { nowSeconds: number; all?: boolean }): SecretUse[] {
    const { nowSeconds, all = nowSeconds - this.#notedSeconds >= NOTE_EVERY_SECONDS } = options;
    const first: SecretUse[] = [];
    const due: SecretUse[] = [];
    const noted: Secret[] = [];
    for (const [deviceId, { secrets }] of this.#rings) {
      for (const secret of secrets) {
        const { generation, lastUsed, notedUsed } = secret;
        if (lastUsed <= notedUsed || (notedUsed > 0 && !all)) continue;
        const use = { deviceId, generation, lastUsed };
        if (notedUsed === 0) first.push(use);
        due.push(use);
        noted.push(secret);
      }
    }
    if (due.length > 0) this.#registry.noteUses(due);
    for (const secret of noted) secret.notedUsed = secret.lastUsed;
    if (all) this.#notedSeconds = nowSeconds;
    return first;
  }

  /** How many devices are registered. */
  get size(): number {
    return this.#rings.size;
  }

  /** Keys and uses of unchanged secrets are carried over. */
  #reload(): Map<string, Ring> {
    const rings = new Map<string, Ring>();
    const uses = new Map(
      this.#registry.secretUses().map((use) => [`${use.generation} ${use.deviceId}`, use.lastUsed]),
    );
    for (const device of this.#registry.list()) {
      const { deviceId, generation, sharedSecret, previous } = device;
      const old = this.#rings.get(deviceId)?.secrets ?? [];
      const secretOf = (one: Pick<Secret, "generation" | "sharedSecret" | "until">): Secret => {
        const noted = uses.get(`${one.generation} ${deviceId}`) ?? 0;
        const same = old.find(({ generation, sharedSecret }) =>
          generation === one.generation && sharedSecret === one.sharedSecret
        );
        const lastUsed = Math.max(noted, same?.lastUsed ?? 0);
        return { ...one, key: same?.key, lastUsed, notedUsed: noted };
      };
      const newest = secretOf({ generation, sharedSecret, until: undefined });
      rings.set(device.deviceId, {
        device,
        secrets: previous ? [newest, secretOf(previous)] : [newest],
      });
    }
    return rings;
  }
}

function keyOf(secret: Secret): Promise<SecretKey | undefined> {
  return secret.key ??= importSecret(secret.sharedSecret);
}

function isGood({ until }: Secret, nowSeconds: number): boolean {
  return until === undefined || nowSeconds <= until;
}
