/**
 * Turning a site's secrets from plain to sealed, back, and from one key to the next, in place.
 *
 * The rules are:
 * - every secret says for itself whether it is sealed and under which key, so any mixture opens, and
 *   whatever is cut short is finished by doing it again;
 * - a key is on the disk before the first secret is sealed under it, and leaves its file only when
 *   no secret needs it;
 * - the mark `sealing_key` comes first: from then on the store takes nothing that is not sealed
 *   under that key, from no program;
 * - at the end nothing of before is left in the store.
 */

import type { SealingKeyPlaces } from "../config/config.ts";
import type { SealingKey } from "./sealed_secret.ts";
import type { Sealed, Sealing } from "./sealing.ts";
import {
  createSealingKey,
  isCredential,
  readSealingKeys,
  SealingKeyError,
  writeSealingKeys,
} from "./sealing_keys.ts";

/** Secrets in one transaction, so that a running gateway gets its turn. */
export const SEALED_AT_ONCE = 200;

/** The secrets as an engine has them. */
export interface StoredSecrets {
  /** Why these keys do not open all that is sealed; undefined if they do. */
  missingKeys(keys: readonly SealingKey[]): Promise<string | undefined>;
  /** The mark `sealing_key`: the key's id as a number; 0: the site is plain. */
  currentKey(): Promise<number>;
  /**
   * Sets the mark and brings every secret into the form that `key` gives, undefined: plain; `keys`
   * open them. Resolves to how many were changed.
   */
  convert(key: SealingKey | undefined, keys: readonly SealingKey[]): Promise<number>;
  /** Leaves nothing of before; resolves to the copies that were removed, as paths. */
  erase(): Promise<readonly string[]>;
}

/** The secrets of a site. */
export class SiteSealing implements Sealing {
  readonly #secrets: StoredSecrets;

  constructor(secrets: StoredSecrets) {
    this.#secrets = secrets;
  }

  async seal(places: SealingKeyPlaces): Promise<Sealed> {
    const known = await this.#knownKeys(places);
    const keys = known.length > 0 ? known : [createSealingKey()];
    if (known.length === 0) writeSealingKeys(places, keys);
    return await this.#convertTo(keys);
  }

  async rotateKey(places: SealingKeyPlaces): Promise<Sealed> {
    const known = await this.#knownKeys(places);
    if (isCredential(places)) {
      throw new SealingKeyError(
        "Cannot replace a systemd credential: put secrets.key into the site",
      );
    }
    if (await this.#secrets.currentKey() === 0) {
      throw new SealingKeyError("Cannot rotate the key: the secrets are not sealed");
    }
    // A second key is what a rotation that was cut short has left: it goes on with the first.
    const keys = known.length > 1 ? known : [createSealingKey(), ...known];
    writeSealingKeys(places, keys);
    const sealed = await this.#convertTo(keys);
    writeSealingKeys(places, keys.slice(0, 1));
    return sealed;
  }

  async unseal(places: SealingKeyPlaces): Promise<{ readonly count: number }> {
    return { count: await this.#secrets.convert(undefined, await this.#knownKeys(places)) };
  }

  /** The keys that are there; rejects if the secrets need others. */
  async #knownKeys(places: SealingKeyPlaces): Promise<SealingKey[]> {
    const keys = readSealingKeys(places);
    const fault = await this.#secrets.missingKeys(keys);
    if (fault !== undefined) throw new SealingKeyError(fault);
    return keys;
  }

  async #convertTo(keys: readonly SealingKey[]): Promise<Sealed> {
    const count = await this.#secrets.convert(keys[0], keys);
    return { count, keyId: keys[0]!.id, removed: await this.#secrets.erase() };
  }
}
