/** A row of a store, by the names of its columns: texts, safe numbers, bytes as Uint8Array, or null. */
export type StoredRow = Readonly<Record<string, unknown>>;
