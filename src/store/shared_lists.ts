/**
 * The brokers' lists, for gateways that share a store: the machine that can sign them puts the newest
 * ones there, and a program beside each broker takes them from there.
 *
 * What is in the store is not believed: who takes the lists checks them.
 */

/** Most characters of lists that are taken from a store: of some hundred thousand certificates. */
export const LISTS_MAX_CHARS = 2 ** 24;

/** The lists as they are in the store. */
export interface PublishedLists {
  /** Higher than that of all before. */
  readonly number: number;
  /** JSON. */
  readonly content: string;
  /** JSON: by which authorities the content is signed. */
  readonly signatures: string;
}

/** What the broker of one gateway uses. */
export interface ListUse {
  readonly node: string;
  /** Of the lists that the broker was proved to use; undefined: of none yet. */
  readonly number: number | undefined;
  /** Why it does not use newer ones; undefined: nothing is known to be wrong. */
  readonly fault: string | undefined;
  /** The certificate with which the broker is tried, PEM. */
  readonly probe: string | undefined;
}

/** The lists. */
export interface SharedLists {
  /** The number of the newest, 0 if there are none, and that of what a gateway's broker uses. */
  numbers(node: string): Promise<{ readonly newest: number; readonly used: number | undefined }>;
  /** The newest; undefined if there are none. */
  newest(): Promise<PublishedLists | undefined>;
  /** Puts lists in place of those numbered `after`; false if others are the newest by now. */
  publish(lists: PublishedLists, after: number): Promise<boolean>;
  /** Notes what the broker of a gateway uses. */
  note(use: ListUse): Promise<void>;
  /** What is noted, by node. */
  uses(): Promise<readonly ListUse[]>;
}
