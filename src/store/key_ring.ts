/**
 * The registry as a running gateway sees it: in memory, and never older than the store.
 *
 * A `CryptoKey` takes several times the memory of all else that is known of a device, so only those
 * that were used of late are kept.
 */

import type { DeviceStatus } from "../core/device.ts";
import type { DeviceKeys as DeviceKeysPort } from "../core/ports.ts";
import type { Envelope } from "../core/envelope.ts";
import { importSecret, type SecretKey } from "../core/signature.ts";
import { signedPayloadOf } from "../core/signed_payload.ts";
import {
  type DeviceWithSecret,
  type Registry,
  SecretError,
  type SecretUse,
  statusOf,
  type StoredSecret,
} from "./sqlite/registry.ts";
import { type Database, StoreLostError } from "./sqlite/database.ts";

/** One secret of a device. */
interface Secret {
  kept: StoredSecret;
  /** Unix seconds; undefined where no end is set. */
  until: number | undefined;
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

/** Uses after which no further device is looked at, so that it never holds up intake for long. */
const NOTED_MAX = 500;

/** Keys that are kept: so many that were used last, and up to as many before them. */
const KEPT_MAX = 512;

/** Devices by id, with their keys. */
export class DeviceKeys implements DeviceKeysPort {
  readonly #store: Database;
  readonly #registry: Registry;
  #rings = new Map<string, Ring>();
  readonly #keys = new RecentKeys();
  #dataVersion = -1;
  #revision = -1;

  constructor(store: Database, registry: Registry) {
    this.#store = store;
    this.#registry = registry;
    this.#refresh();
  }

  /**
   * Takes in what another process has changed; cheap where nothing was. Throws a `StoreLostError`
   * where secrets are sealed under a key that was not there at start: only a new start reads it.
   */
  // deno-lint-ignore require-await -- asynchronous in its signature: another engine has to wait
  async refresh(): Promise<void> {
    this.#refresh();
  }

  #refresh(): void {
    const dataVersion = this.#store.dataVersion();
    if (dataVersion === this.#dataVersion) return;
    const revision = this.#registry.revision();
    if (revision !== this.#revision) this.#rings = this.#reload();
    this.#revision = revision;
    this.#dataVersion = dataVersion;
  }

  /** Where a device stands at `nowSeconds`. */
  statusOf(deviceId: string, nowSeconds: number): DeviceStatus {
    return statusOf(this.#rings.get(deviceId)?.device, nowSeconds);
  }

  /** Devices whose sealed secrets do not open, by id. */
  damaged(): string[] {
    return [...this.#rings].filter(([, { secrets }]) => secrets.some(isDamaged)).map(([id]) => id);
  }

  /**
   * The key under which a registered device is spoken to: of the newest secret that it has used, or
   * of the oldest where it has used none; undefined where its secret makes none.
   */
  key(deviceId: string, nowSeconds = 0): Promise<SecretKey | undefined> {
    const known = this.#rings.get(deviceId)?.secrets ?? [];
    const secrets = known.filter((secret) => isGood(secret, nowSeconds));
    const spoken = secrets.find(({ lastUsed }) => lastUsed > 0) ?? secrets.at(-1);
    return spoken ? this.#keys.of(spoken) : Promise.resolve(undefined);
  }

  /** The payload bytes under the signature that any secret of the device verifies. */
  async signedPayload(envelope: Envelope, nowSeconds: number): Promise<Uint8Array | undefined> {
    for (const secret of this.#rings.get(envelope.deviceId)?.secrets ?? []) {
      if (!isGood(secret, nowSeconds)) continue;
      const payload = await signedPayloadOf(envelope, await this.#keys.of(secret));
      if (payload === undefined) continue;
      secret.lastUsed = nowSeconds;
      return payload;
    }
    return undefined;
  }

  /**
   * Writes down which secrets were used: a first use at once, the others once a minute, or now where
   * `all` says so; not too many at a time. Returns the first uses.
   */
  recordUses({ all }: { all: boolean }): SecretUse[] {
    const due: { use: SecretUse; secret: Secret }[] = [];
    for (const [deviceId, { secrets }] of this.#rings) {
      for (const secret of secrets) {
        const { kept: { generation }, lastUsed, notedUsed } = secret;
        const isDue = lastUsed - notedUsed >= NOTE_EVERY_SECONDS || all && lastUsed > notedUsed;
        if (isDue) due.push({ use: { deviceId, generation, lastUsed }, secret });
      }
      if (due.length >= NOTED_MAX && !all) break;
    }
    if (due.length === 0) return [];
    this.#registry.recordUses(due.map(({ use }) => use));
    const first = due.filter(({ secret }) => secret.notedUsed === 0).map(({ use }) => use);
    for (const { secret } of due) secret.notedUsed = secret.lastUsed;
    return first;
  }

  /** How many devices are registered. */
  get size(): number {
    return this.#rings.size;
  }

  /** Unchanged secrets stay what they are, with their uses and keys. */
  #reload(): Map<string, Ring> {
    const fault = this.#registry.missingSealingKeys();
    if (fault !== undefined) throw new StoreLostError(fault);
    const rings = new Map<string, Ring>();
    const uses = new Map(
      this.#registry.secretUses().map((use) => [`${use.generation} ${use.deviceId}`, use.lastUsed]),
    );
    for (const device of this.#registry.list()) {
      const { deviceId, previous } = device;
      const old = this.#rings.get(deviceId)?.secrets ?? [];
      const secretOf = (kept: StoredSecret, until: number | undefined): Secret => {
        const { generation } = kept;
        const noted = uses.get(`${generation} ${deviceId}`) ?? 0;
        const same = old.find((one) =>
          one.kept.generation === generation && one.kept.storedSecret === kept.storedSecret
        );
        const lastUsed = Math.max(noted, same?.lastUsed ?? 0);
        const secret = { kept, until, lastUsed, notedUsed: noted };
        return same ? Object.assign(same, secret) : secret;
      };
      const newest = secretOf(device, undefined);
      rings.set(deviceId, {
        device,
        secrets: previous ? [newest, secretOf(previous, previous.until)] : [newest],
      });
    }
    return rings;
  }
}

function isDamaged({ kept }: Secret): boolean {
  try {
    return kept.sharedSecret === undefined;
  } catch (error) {
    if (error instanceof SecretError) return true;
    throw error;
  }
}

/** The keys of secrets, made when they are needed. */
class RecentKeys {
  #recent = new Map<Secret, Promise<SecretKey | undefined>>();
  #before = new Map<Secret, Promise<SecretKey | undefined>>();

  /** The key, or undefined inside where the secret makes none. */
  of(secret: Secret): Promise<SecretKey | undefined> {
    const recent = this.#recent.get(secret);
    if (recent) return recent;
    const key = this.#before.get(secret) ?? importKept(secret.kept);
    if (this.#recent.size >= KEPT_MAX) {
      this.#before = this.#recent;
      this.#recent = new Map();
    }
    this.#recent.set(secret, key);
    return key;
  }
}

/** A secret that was altered is no key: nothing verifies under it. */
async function importKept(kept: StoredSecret): Promise<SecretKey | undefined> {
  try {
    return await importSecret(kept.sharedSecret);
  } catch (error) {
    if (error instanceof SecretError) return undefined;
    throw error;
  }
}

function isGood({ until }: Secret, nowSeconds: number): boolean {
  return until === undefined || nowSeconds <= until;
}
