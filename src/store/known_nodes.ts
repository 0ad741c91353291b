/** The gateways that share a store, as an operator sees them. */

/** One of them. */
export interface KnownNode {
  readonly node: string;
  /** Until its lease is over, milliseconds; negative: it was over so long ago; undefined: it had none. */
  readonly leftMs: number | undefined;
  /** By how much its clock was ahead of the store's when it was last heard, milliseconds. */
  readonly aheadMs: number | undefined;
  /** Entries that it has to send. */
  readonly entries: number;
  /** Of the lists that its broker was proved to use; undefined: of none yet. */
  readonly listNumber: number | undefined;
  /** Why its broker does not use newer ones; undefined: nothing is known to be wrong. */
  readonly listFault: string | undefined;
}

/** Those that have worked on a store. */
export interface KnownNodes {
  /** By name. */
  list(): Promise<readonly KnownNode[]>;
  /**
   * Forgets one permanently, so that ids need not be kept for it; only one that is not at work, and has
   * nothing left.
   */
  remove(node: string): Promise<"removed" | "unknown" | "at_work" | "has_entries">;
}

/** By how much the lists that a gateway's broker uses are behind the newest; 0: by nothing. */
export function listsBehind({ listNumber = 0 }: Pick<KnownNode, "listNumber">, newest: number) {
  return Math.max(0, newest - listNumber);
}
