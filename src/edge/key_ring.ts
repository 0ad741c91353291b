/**
 * The registry as a running gateway sees it: in memory, with each secret made into a key once, and
 * never older than the store.
 */

import type { DeviceStanding } from "../core/device.ts";
import { importSecret, type SecretKey } from "../core/signature.ts";
import { type DeviceWithSecret, type Registry, SecretError, standingOf } from "./registry.ts";
import { type Store, StoreLostError } from "./store.ts";

interface Ring {
  readonly device: DeviceWithSecret;
  /** Undefined until the first message; then the key, or undefined inside where there is none. */
  key: Promise<SecretKey | undefined> | undefined;
}

/** Devices by id, each with its key. */
export class KeyRing {
  readonly #store: Store;
  readonly #registry: Registry;
  #rings = new Map<string, Ring>();
  #dataVersion = -1;
  #revision = -1;

  constructor(store: Store, registry: Registry) {
    this.#store = store;
    this.#registry = registry;
    this.refresh();
  }

  /**
   * Takes in what another process has changed; cheap where nothing was. Throws a `StoreLostError`
   * where secrets are sealed under a key that was not there at start: only a new start reads it.
   */
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

  /** The key of a registered device; undefined where its secret makes none. */
  key(deviceId: string): Promise<SecretKey | undefined> {
    const ring = this.#rings.get(deviceId);
    if (ring === undefined) return Promise.resolve(undefined);
    return ring.key ??= keyOf(ring.device);
  }

  /** Devices whose sealed secrets do not open, by id. */
  damaged(): string[] {
    return [...this.#rings.values()].map(({ device }) => device).filter(isDamaged)
      .map(({ deviceId }) => deviceId);
  }

  /** How many devices are registered. */
  get size(): number {
    return this.#rings.size;
  }

  /** Keys of unchanged secrets are carried over. */
  #reload(): Map<string, Ring> {
    const fault = this.#registry.sealingFault();
    if (fault !== undefined) throw new StoreLostError(fault);
    const rings = new Map<string, Ring>();
    for (const device of this.#registry.list()) {
      const old = this.#rings.get(device.deviceId);
      const same = old?.device.storedSecret === device.storedSecret;
      rings.set(device.deviceId, { device, key: same ? old!.key : undefined });
    }
    return rings;
  }
}

function isDamaged(device: DeviceWithSecret): boolean {
  try {
    return device.sharedSecret === undefined;
  } catch (error) {
    if (error instanceof SecretError) return true;
    throw error;
  }
}

/** A secret that was altered is no key: nothing verifies under it. */
async function keyOf(device: DeviceWithSecret): Promise<SecretKey | undefined> {
  try {
    return await importSecret(device.sharedSecret);
  } catch (error) {
    if (error instanceof SecretError) return undefined;
    throw error;
  }
}
