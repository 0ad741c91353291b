/** What goes wrong with a store as a whole. */

/** The store cannot be used; the message names it and says why, for the operator. */
export class StoreError extends Error {
  override readonly name: string = "StoreError";
}

/** The open store is not the one in its place any longer, or is damaged: only a new one goes on. */
export class StoreLostError extends StoreError {
  override readonly name: string = "StoreLostError";
}

/** The registry has changed since a batch was examined: nothing was written. */
export class StaleRegistryError extends StoreError {
  override readonly name: string = "StaleRegistryError";
}

/** The store is undamaged, but its secrets need sealing keys that were not there when it was opened. */
export class StoreReopenError extends StoreError {
  override readonly name: string = "StoreReopenError";
}
