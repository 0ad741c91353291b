/** Moving everything from one store to another, of another engine. */

/** A row of a table: numbers, texts, bytes, or nothing. */
export type StoreRow = Readonly<Record<string, string | number | bigint | Uint8Array | null>>;

/** A store that is moved away; nobody writes to it meanwhile. */
export interface StoreExport {
  /** In the order in which another store can take them. */
  readonly tables: readonly string[];
  rows(table: string): Iterable<StoreRow>;
  /** Lets it go; if it was moved, no gateway goes on with it. */
  end(isMoved: boolean): void;
}

/** How many rows of each table were moved. */
export type MovedRows = Readonly<Record<string, number>>;
