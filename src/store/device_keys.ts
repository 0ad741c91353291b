/**
 * The registry as a running gateway sees it: in memory, and never older than the store.
 *
 * A `CryptoKey` takes several times the memory of all else that is known of a device, so only those
 * that were used lately are kept.
 */

import type { DeviceStatus } from "../core/device.ts";
import type { DeviceKeys as DeviceKeysPort } from "../core/ports.ts";
import type { SignedKind } from "../core/signing_input.ts";
import type { Envelope } from "../core/envelope.ts";
import { importSecret, type SecretKey } from "../core/signature.ts";
import { firstSigner } from "../core/signed_payload.ts";
import {
  type DeviceWithSecret,
  isGood,
  SecretError,
  type SecretUse,
  statusOf,
  type StoredSecret,
} from "./device_record.ts";
import type { RegistryStore } from "./registry.ts";
import { StoreReopenError } from "./store_error.ts";

/** One secret of a device. */
interface Secret {
  stored: StoredSecret;
  /** Unix seconds; undefined if no end is set. */
  until: number | undefined;
  /** Unix seconds; 0 if the device has never used it. */
  lastUsed: number;
  /** In which order secrets have verified a message in this run; 0: not yet. */
  turn: number;
  /** What of `lastUsed` is in the store. */
  recordedUse: number;
}

interface Ring {
  readonly device: DeviceWithSecret;
  /** The newest first. */
  readonly secrets: readonly [Secret, ...Secret[]];
}

/** Seconds between two records of one secret's use. */
const RECORD_EVERY_SECONDS = 60;

/** Uses after which no further device is looked at, so that it never holds up intake for long. */
const RECORDED_MAX = 500;

/** Keys that are kept: this many that were used last, and up to as many before them. */
const KEPT_MAX = 512;

/** A device, and the uses of its secrets, the newest secret first; times are Unix seconds. */
export interface KnownDevice {
  readonly device: DeviceWithSecret;
  readonly uses: readonly {
    readonly generation: number;
    /** Undefined: no end is set. */
    readonly until: number | undefined;
    /** Undefined: it has never used it. */
    readonly lastUsed: number | undefined;
  }[];
}

/** Devices by id, with their keys. */
export class DeviceKeys implements DeviceKeysPort {
  readonly #registry: RegistryStore;
  #rings = new Map<string, Ring>();
  readonly #keys = new RecentKeys();
  #revision = -1;
  #turns = 0;
  /** The revision whose damage was told last. */
  #lookedAt: number | undefined;
  readonly #damaged = new Set<string>();
  /** The refresh that was asked for last; the next one begins after it. */
  #last: Promise<void> = Promise.resolve();

  private constructor(registry: RegistryStore) {
    this.#registry = registry;
  }

  /** The keys of a registry as it is now; throws as `refresh` does. */
  static async load(registry: RegistryStore): Promise<DeviceKeys> {
    const keys = new DeviceKeys(registry);
    await keys.refresh();
    return keys;
  }

  /**
   * Takes in what another process has changed; cheap if nothing was. Throws a `StoreReopenError` if
   * secrets are sealed under a key that was not there at start: only a new start reads it.
   */
  refresh({ isChecked } = { isChecked: false }): Promise<void> {
    const refreshed = this.#last.then(() => this.#refresh(isChecked));
    this.#last = refreshed.catch(() => {});
    return refreshed;
  }

  get revision(): number {
    return this.#revision;
  }

  async #refresh(isChecked: boolean): Promise<void> {
    const revision = await this.#registry.revision({ isChecked });
    if (revision === this.#revision) return;
    await this.#reload();
    this.#revision = revision;
  }

  /** Every device, and when it last used its secrets: what it has signed was verified then. */
  *known(): Iterable<KnownDevice> {
    for (const { device, secrets } of this.#rings.values()) {
      yield {
        device,
        uses: secrets.map(({ stored: { generation }, until, lastUsed }) => (
          { generation, until, lastUsed: lastUsed || undefined }
        )),
      };
    }
  }

  /** One of them; undefined if it is not registered. */
  find(deviceId: string): DeviceWithSecret | undefined {
    return this.#rings.get(deviceId)?.device;
  }

  /** The status of a device at `nowSeconds`. */
  statusOf(deviceId: string, nowSeconds: number): DeviceStatus {
    return statusOf(this.#rings.get(deviceId)?.device, nowSeconds);
  }

  /** Devices whose row is damaged, or whose sealed secrets do not open; each is returned once. */
  newlyDamaged(): { deviceId: string; reason: string }[] {
    if (this.#lookedAt === this.#revision) return [];
    const isFirst = this.#lookedAt === undefined; // opening every secret takes long
    this.#lookedAt = this.#revision;
    const damaged = [...this.#rings].flatMap(([deviceId, { device, secrets }]) => {
      const altered = isFirst && secrets.some(isDamaged) ? "its secret was altered" : undefined;
      const reason = device.damage ?? altered;
      return reason === undefined ? [] : [{ deviceId, reason }];
    });
    const found = damaged.filter(({ deviceId }) => !this.#damaged.has(deviceId));
    if (!isFirst) this.#damaged.clear();
    for (const { deviceId } of damaged) this.#damaged.add(deviceId);
    return found;
  }

  /**
   * The key under which messages to a registered device are signed: of the newest secret that it has
   * used, or of the oldest if it has used none; undefined if its secret makes none.
   */
  key(deviceId: string, nowSeconds = 0): Promise<SecretKey | undefined> {
    const secrets = this.#goodSecrets(deviceId, nowSeconds);
    const chosen = secrets.find(({ lastUsed }) => lastUsed > 0) ?? secrets.at(-1);
    return chosen ? this.#keys.of(chosen) : Promise.resolve(undefined);
  }

  /**
   * The key under which receipts are signed: of the secret that was the last to verify a message, if
   * one was verified, or else of the newest; undefined if its secret makes none.
   */
  receiptKey(
    deviceId: string,
    nowSeconds: number,
    { isVerified }: { readonly isVerified: boolean },
  ): Promise<SecretKey | undefined> {
    const secrets = this.#goodSecrets(deviceId, nowSeconds);
    const last = (one: Secret, other: Secret) => other.turn > one.turn ? other : one;
    const chosen = isVerified && secrets.length > 0 ? secrets.reduce(last) : secrets[0];
    return chosen ? this.#keys.of(chosen) : Promise.resolve(undefined);
  }

  /** The payload bytes under the signature that any secret of the device verifies. */
  async signedPayload(
    envelope: Envelope,
    nowSeconds: number,
    kind: SignedKind = "message",
  ): Promise<Uint8Array | undefined> {
    const secrets = this.#goodSecrets(envelope.deviceId, nowSeconds);
    const signer = await firstSigner(envelope, secrets, (secret) => this.#keys.of(secret), kind);
    if (signer === undefined) return undefined;
    signer.secret.lastUsed = nowSeconds;
    signer.secret.turn = ++this.#turns;
    return signer.payload;
  }

  /**
   * Records which secrets were used: a first use at once, the others once a minute, or now if `all`
   * says so; not too many at a time. Resolves to the first uses.
   */
  async recordUses({ all }: { readonly all: boolean }): Promise<SecretUse[]> {
    const due: { use: SecretUse; secret: Secret }[] = [];
    for (const [deviceId, { secrets }] of this.#rings) {
      for (const secret of secrets) {
        const { stored: { generation }, lastUsed, recordedUse } = secret;
        // Also back: the clock may have been ahead.
        const isDue = Math.abs(lastUsed - recordedUse) >= RECORD_EVERY_SECONDS ||
          all && lastUsed !== recordedUse;
        if (isDue) due.push({ use: { deviceId, generation, lastUsed }, secret });
      }
      if (due.length >= RECORDED_MAX && !all) break;
    }
    if (due.length === 0) return [];
    await this.#registry.recordUses(due.map(({ use }) => use));
    const first = due.filter(({ secret }) => secret.recordedUse === 0).map(({ use }) => use);
    for (const { use, secret } of due) secret.recordedUse = use.lastUsed;
    return first;
  }

  #goodSecrets(deviceId: string, nowSeconds: number): readonly Secret[] {
    const secrets = this.#rings.get(deviceId)?.secrets ?? [];
    return secrets.filter((secret) => isGood(secret, nowSeconds));
  }

  /** How many devices are registered. */
  get size(): number {
    return this.#rings.size;
  }

  async #reload(): Promise<void> {
    const fault = await this.#registry.missingSealingKeys();
    if (fault !== undefined) throw new StoreReopenError(fault);
    const uses = await this.#registry.secretUses();
    this.#rings = this.#ringsOf(await this.#registry.list(), uses);
  }

  /** Unchanged secrets stay what they are, with their uses and keys. */
  #ringsOf(devices: readonly DeviceWithSecret[], uses: readonly SecretUse[]): Map<string, Ring> {
    const recorded = new Map(
      uses.map((use) => [`${use.generation} ${use.deviceId}`, use.lastUsed]),
    );
    return new Map(devices.map((device): [string, Ring] => {
      const { deviceId, previous } = device;
      const known = this.#rings.get(deviceId);
      const old = known?.secrets ?? [];
      // A key that was made goes with the row's damage, and one that was not made with its repair.
      const isAsSound = known?.device.damage === device.damage;
      const secretOf = (stored: StoredSecret, until: number | undefined): Secret => {
        const { generation } = stored;
        const recordedUse = recorded.get(`${generation} ${deviceId}`) ?? 0;
        const same = old.find((one) =>
          one.stored.generation === generation && one.stored.storedSecret === stored.storedSecret
        );
        const lastUsed = Math.max(recordedUse, same?.lastUsed ?? 0);
        const secret = { stored, until, lastUsed, recordedUse, turn: same?.turn ?? 0 };
        return same && isAsSound ? Object.assign(same, secret) : secret;
      };
      const newest = secretOf(device, undefined);
      const before = previous ? [secretOf(previous, previous.until)] : [];
      return [deviceId, { device, secrets: [newest, ...before] }];
    }));
  }
}

function isDamaged({ stored }: Secret): boolean {
  try {
    return stored.sharedSecret === undefined;
  } catch (error) {
    if (error instanceof SecretError) return true;
    throw error;
  }
}

/** The keys of secrets, made when they are needed. */
class RecentKeys {
  #recent = new Map<Secret, Promise<SecretKey | undefined>>();
  #before = new Map<Secret, Promise<SecretKey | undefined>>();

  /** The key, or undefined inside if the secret makes none. */
  of(secret: Secret): Promise<SecretKey | undefined> {
    const recent = this.#recent.get(secret);
    if (recent) return recent;
    const key = this.#before.get(secret) ?? importStored(secret.stored);
    if (this.#recent.size >= KEPT_MAX) {
      this.#before = this.#recent;
      this.#recent = new Map();
    }
    this.#recent.set(secret, key);
    return key;
  }
}

/** A secret that was altered is no key: nothing verifies under it. */
async function importStored(stored: StoredSecret): Promise<SecretKey | undefined> {
  try {
    return await importSecret(stored.sharedSecret);
  } catch (error) {
    if (error instanceof SecretError) return undefined;
    throw error;
  }
}
