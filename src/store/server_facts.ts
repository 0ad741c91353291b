/** What a server says of itself that has a store, as `doctor` judges it. */

/** The facts. */
export interface ServerFacts {
  readonly version: string;
  readonly isEncrypted: boolean;
  /** The setting: which servers have what is written before that is said; empty: none. */
  readonly synchronousStandbys: string;
  /** The setting. */
  readonly synchronousCommit: string;
  /** Standbys that follow, and that are waited for. */
  readonly followers: number;
  readonly waitedFor: number;
  /** Settings without which a crash of the server may lose what it has said to have. */
  readonly fsync: boolean;
  readonly fullPageWrites: boolean;
  /** True if our role may do anything there. */
  readonly isSuperuser: boolean;
  /** By how much this machine's clock is ahead of the server's, milliseconds. */
  readonly aheadMs: number;
  /** How long the oldest transaction has been open, which keeps dead rows from being removed, seconds. */
  readonly oldestTransactionSeconds: number;
  /** Each server that the settings name. */
  readonly hosts: readonly { readonly name: string; readonly role: ServerRole }[];
}

/** What a server is; `former_primary`: it does not know that another one was promoted. */
export type ServerRole = "primary" | "standby" | "former_primary" | "unreachable";
