/** `store migrate` and `store move`: what a gateway does not do to a store by itself. */

import { counted } from "../core/counted.ts";
import { migrateStore as migrate, moveStore as move } from "../store/open_store.ts";
import { placeName, storePlaceIn } from "../store/store_place.ts";
import { type JsonOption, printJson } from "./json_output.ts";
import { configOf, layoutOf, onStore } from "./open_site.ts";
import { exists } from "../site/exists.ts";
import { CommandError, note, print } from "./terminal.ts";

/** Makes the tables of a site's store, or brings them up to this version's schema. */
export async function migrateStore(options: JsonOption): Promise<void> {
  const place = storePlaceIn(configOf(layoutOf(options)));
  if (place.engine !== "postgres") {
    throw new CommandError("The store is a file, which the gateway brings up when it starts");
  }
  const { schema, steps } = await onStore(() => migrate(place));
  const store = placeName(place);
  if (options.json) return printJson({ store, schema, steps });
  const done = steps === 0 ? "nothing to do" : `brought up by ${counted(steps, "step")}`;
  print(`Schema ${schema} of ${store}: ${done}`);
}

/** Moves everything from the site's SQLite file to the server that its settings name. */
export async function moveStore(options: JsonOption): Promise<void> {
  const config = configOf(layoutOf(options));
  const place = storePlaceIn(config);
  const { database } = config.store;
  if (place.engine !== "postgres") {
    throw new CommandError('Set store.engine = "postgres" and store.url first', {
      hint: "The SQLite file stays where it is until then; see the page on PostgreSQL",
    });
  }
  if (!await exists(database)) throw new CommandError(`There is no "${database}" to be moved`);
  const moved = await onStore(async () => {
    await migrate(place);
    return await move({ database }, place);
  });
  const store = placeName(place);
  if (options.json) return printJson({ from: database, store, rows: moved });
  const { devices = 0, outbox = 0, replay_guard: ids = 0 } = moved;
  print(
    `Moved to ${store}: ${counted(devices, "device")}, ${counted(outbox, "entry", "entries")}, ` +
      `${counted(ids, "remembered id")}, and all else`,
  );
  note(`hint: The file is "${database}.moved" now: no gateway goes on with it`);
}
