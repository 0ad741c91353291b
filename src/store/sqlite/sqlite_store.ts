/**
 * A store in one SQLite file.
 *
 * SQLite answers at once, so its parts are written without `await`, and can be used inside one
 * transaction; `promised` gives them the asynchronous form of the store's interfaces.
 */

import { readSealingKeys } from "../sealing_keys.ts";
import type { Store, StoreOptions, StorePlace } from "../store.ts";
import { ApiKeys } from "./api_keys.ts";
import { AuditLog } from "./audit_log.ts";
import { Database } from "./database.ts";
import { DeadLetters } from "./dead_letters.ts";
import { SqliteMessages } from "./messages.ts";
import { Registry } from "./registry.ts";
import { ReplayGuard } from "./replay_guard.ts";
import { rotateSealingKey, sealSecrets, unsealSecrets } from "./sealing.ts";
import { TemporaryDevices } from "./temporary_devices.ts";
import { WaitingEntries } from "./waiting_entries.ts";

/** The asynchronous form of a part: promises, and asynchronous iterables of what is read in steps. */
type Promised<T> = {
  readonly [K in keyof T]: T[K] extends (...args: infer A) => infer R
    ? (...args: A) => R extends Generator<infer Item> ? AsyncIterable<Item> : Promise<R>
    : never;
};

/** Opens the file at `place.database`; throws a `StoreError`. */
export function openSqliteStore(place: StorePlace, options: StoreOptions): Store {
  const { database: path, synchronous = "FULL", sealingKey: places } = place;
  const sealingKeys = places ? readSealingKeys(places) : [];
  const database = new Database(path, { synchronous, ...options });
  const sealingParts = () => {
    if (places === undefined) throw new Error("No place for sealing keys was given");
    return { store: database, places };
  };
  let replayGuard: ReplayGuard | undefined; // it reads much, and most programs do not ask it
  const openReplayGuard = () => replayGuard ??= new ReplayGuard(database);
  return {
    messages: (limits) => new SqliteMessages(database, limits),
    registry: promised(new Registry(database, sealingKeys)),
    get replayIds() {
      return promised(openReplayGuard());
    },
    outbox: promised(new WaitingEntries(database)),
    deadLetters: promised(new DeadLetters(database)),
    apiKeys: promised(new ApiKeys(database)),
    audit: promised(new AuditLog(database)),
    sealing: {
      seal: () => sealSecrets(sealingParts()),
      rotateKey: () => rotateSealingKey(sealingParts()),
      unseal: () => unsealSecrets(sealingParts()),
    },
    temporaryDevices: promised(new TemporaryDevices(database)),
    // deno-lint-ignore require-await -- a throw becomes a rejection
    marks: async () => ({
      attendedSeconds: database.readMark("attended_seconds") || undefined,
      newestSeconds: openReplayGuard().newestSeconds(),
    }),
    // deno-lint-ignore require-await -- as above
    close: async () => database.close(),
  };
}

/** The part itself, whose methods answer by promise; what one throws becomes a rejection. */
function promised<T extends object>(part: T): Promised<T> {
  return new Proxy(part, {
    get(target, name) {
      const method = Reflect.get(target, name);
      if (typeof method !== "function") return method;
      return isGeneratorFunction(method)
        ? (...args: unknown[]) => inSteps(method.apply(target, args))
        // deno-lint-ignore require-await -- as above
        : async (...args: unknown[]) => method.apply(target, args);
    },
  }) as unknown as Promised<T>;
}

async function* inSteps(items: Iterable<unknown>): AsyncIterable<unknown> {
  yield* items;
}

function isGeneratorFunction(method: object): boolean {
  return Object.prototype.toString.call(method) === "[object GeneratorFunction]";
}
