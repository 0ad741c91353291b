/**
 * A store in one SQLite file.
 *
 * SQLite answers at once, so its parts are written without `await`, and can be used inside one
 * transaction; `promised` gives them the asynchronous form of the store's interfaces.
 */

import type { SealingKey } from "../sealed_secret.ts";
import { readSealingKeys } from "../sealing_keys.ts";
import { StoreError } from "../store_error.ts";
import type { Store, StoreOptions } from "../store.ts";
import type { SqlitePlace } from "../store_place.ts";
import { ApiKeys } from "./api_keys.ts";
import { AuditLog } from "./audit_log.ts";
import { CommandRows } from "./command_rows.ts";
import { Database } from "./database.ts";
import { DeadLetters } from "./dead_letters.ts";
import { SqliteMessages } from "./messages.ts";
import { Outbox, steadyStart } from "./outbox.ts";
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
export function openSqliteStore(place: SqlitePlace, options: StoreOptions): Store {
  const { database: path, synchronous = "FULL", sealingKey: places } = place;
  const sealingKeys = places ? readSealingKeys(places) : [];
  const database = new Database(path, { synchronous, ...options });
  try {
    return storeOn(database, sealingKeys);
  } catch (error) {
    database.close();
    throw storeErrorOf(error, path);
  }
}

function storeOn(database: Database, sealingKeys: readonly SealingKey[]): Store {
  const promised = <T extends object>(part: T) => promisedPart(part, database.path);
  let replayGuard: ReplayGuard | undefined; // it reads much, and most programs do not ask it
  const openReplayGuard = () => replayGuard ??= new ReplayGuard(database);
  return {
    messages: (limits) => new SqliteMessages(database, limits),
    nodes: undefined,
    lists: undefined,
    registry: promised(new Registry(database, sealingKeys)),
    get replayIds() {
      return promised(openReplayGuard());
    },
    get outbox() {
      return promised(new WaitingEntries(database));
    },
    deadLetters: promised(new DeadLetters(database)),
    commands: promised(new CommandRows(database)),
    apiKeys: promised(new ApiKeys(database)),
    audit: promised(new AuditLog(database)),
    sealing: {
      seal: (keys) => sealSecrets({ store: database, places: keys }),
      rotateKey: (keys) => rotateSealingKey({ store: database, places: keys }),
      unseal: (keys) => unsealSecrets({ store: database, places: keys }),
    },
    temporaryDevices: promised(new TemporaryDevices(database)),
    facts: () => Promise.resolve(undefined),
    // deno-lint-ignore require-await -- a throw becomes a rejection
    marks: async () => ({
      attendedSeconds: database.readMark("attended_seconds") || undefined,
      newestSeconds: openReplayGuard().newestSeconds(),
      steady: steadyStart(database, new Outbox(database)),
    }),
    // deno-lint-ignore require-await -- as above
    close: async () => database.close(),
  };
}

/** The part itself, whose methods answer by promise; what one throws becomes a rejection. */
function promisedPart<T extends object>(part: T, path: string): Promised<T> {
  return new Proxy(part, {
    get(target, name) {
      const method = Reflect.get(target, name);
      if (typeof method !== "function") return method;
      return isGeneratorFunction(method)
        ? (...args: unknown[]) => inSteps(method.apply(target, args), path)
        // deno-lint-ignore require-await -- as above
        : async (...args: unknown[]) => {
          try {
            return method.apply(target, args);
          } catch (error) {
            throw storeErrorOf(error, path);
          }
        };
    },
  }) as unknown as Promised<T>;
}

async function* inSteps(items: Iterable<unknown>, path: string): AsyncIterable<unknown> {
  try {
    yield* items;
  } catch (error) {
    throw storeErrorOf(error, path);
  }
}

/** SQLite's own error as the port's; any other as it is. */
function storeErrorOf(error: unknown, path: string): unknown {
  const isOfSqlite = error instanceof Error && "code" in error && error.code === "ERR_SQLITE_ERROR";
  if (!isOfSqlite) return error;
  return new StoreError(`Cannot use "${path}": ${error.message}`, { cause: error });
}

function isGeneratorFunction(method: object): boolean {
  return Object.prototype.toString.call(method) === "[object GeneratorFunction]";
}
