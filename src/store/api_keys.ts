/** The keys of the API, as the rest of the program sees them. */

/** Most keys in a store, since each request is compared with all of them. */
export const API_KEYS_MAX = 100;

/** The name of a site's first key. */
export const FIRST_KEY_NAME = "backend";

/** A key of the API, as the store has it. */
export interface ApiKey {
  readonly name: string;
  /** SHA-256 of the key. */
  readonly digest: Uint8Array;
  /** Unix seconds. */
  readonly createdAt: number;
  /** The devices that it may send commands to; undefined: all. */
  readonly deviceIds: readonly string[] | undefined;
}

/** True where a key is good for commands to a device. */
export function reaches({ deviceIds }: ApiKey, deviceId: string): boolean {
  return deviceIds === undefined || deviceIds.includes(deviceId);
}

/** The keys; the store has their SHA-256 only. */
export interface ApiKeyStore {
  /** Every key as of now, by name; cheap if nothing has changed. */
  current(): Promise<readonly ApiKey[]>;
  /** Every key, by name. */
  list(): Promise<ApiKey[]>;
  has(digest: Uint8Array): Promise<boolean>;
  /** Adds a key; false if the name is taken. */
  add(digest: Uint8Array, key: Omit<ApiKey, "digest">): Promise<boolean>;
  /** Imports a key into a store that never had one; false if it had. */
  importFirst(digest: Uint8Array, nowMs: number): Promise<boolean>;
  /** Removes a key; false if there is none of that name. */
  remove(name: string): Promise<boolean>;
}
