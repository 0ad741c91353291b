/** What the claims of the contract are made of. */

import type { Store, StoreOptions } from "../../../../src/store/store.ts";
import type { StorePlace } from "../../../../src/store/store_place.ts";

/** Opens the one store of a test, as one program of several; the test's end closes it. */
export type Open = (
  author?: StoreOptions["author"],
  sealingKey?: StorePlace["sealingKey"],
) => Promise<Store>;

/** Makes an empty store for as long as `work` takes. */
export type WithStore = (work: (open: Open) => Promise<void>) => Promise<void>;

/** Claims, and how each is proved. */
export type Contract = Readonly<Record<string, (open: Open) => Promise<void>>>;

/** All of what is read in steps. */
export async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  return await Array.fromAsync(items);
}
