/** The keys of the API, as the rest of the program sees them. */

/** Most keys in a store, since each request is compared with all of them. */
export const API_KEYS_MAX = 100;

/** The name of a site's first key. */
export const FIRST_KEY_NAME = "backend";

/**
 * What a key is for. `commands`: for commands, their states and the metrics, as a backend needs them;
 * `view`: for looking at everything, and for no change; `operate`: also for retrying and dropping what
 * was not delivered, and for cancelling commands. Only `commands` sends any.
 */
export const API_KEY_ROLES = ["commands", "view", "operate"] as const;
export type ApiKeyRole = typeof API_KEY_ROLES[number];

/** A key of the API, as the store has it. */
export interface ApiKey {
  readonly name: string;
  readonly role: ApiKeyRole;
  /** SHA-256 of the key. */
  readonly digest: Uint8Array;
  /** Unix seconds. */
  readonly createdAt: number;
  /** The devices that it is for; undefined: all. */
  readonly deviceIds: readonly string[] | undefined;
}

/** True if a key is for a device. */
export function reaches({ deviceIds }: Pick<ApiKey, "deviceIds">, deviceId: string): boolean {
  return deviceIds === undefined || deviceIds.includes(deviceId);
}

/** What a key may do. */
export type KeyRight = "command" | "cancel" | "look" | "operate";

/** The roles that have each right. */
const ROLES_OF: Readonly<Record<KeyRight, readonly ApiKeyRole[]>> = {
  command: ["commands"],
  cancel: ["commands", "operate"],
  look: ["view", "operate"],
  operate: ["operate"],
};

/** True if a key's role has a right. */
export function may({ role }: Pick<ApiKey, "role">, right: KeyRight): boolean {
  return ROLES_OF[right].includes(role);
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
