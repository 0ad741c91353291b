/** `store migrate`: what is done to a store on a server, which no gateway does by itself. */

import { counted } from "../core/counted.ts";
import { migrateStore as migrate } from "../store/open_store.ts";
import { StoreError } from "../store/store_error.ts";
import { placeName, storePlaceIn } from "../store/store_place.ts";
import { type JsonOption, printJson } from "./json_output.ts";
import { configOf, layoutOf } from "./open_site.ts";
import { CommandError, print } from "./terminal.ts";

/** Makes the tables of a site's store, or brings them up to this version's schema. */
export async function migrateStore(options: JsonOption): Promise<void> {
  const place = storePlaceIn(configOf(layoutOf(options)));
  if (place.engine !== "postgres") {
    throw new CommandError("The store is a file, which the gateway brings up when it starts");
  }
  const { schema, steps } = await migrate(place).catch((error) => {
    throw error instanceof StoreError ? new CommandError(error.message) : error;
  });
  const store = placeName(place);
  if (options.json) return printJson({ store, schema, steps });
  const done = steps === 0 ? "nothing to do" : `brought up by ${counted(steps, "step")}`;
  print(`Schema ${schema} of ${store}: ${done}`);
}
