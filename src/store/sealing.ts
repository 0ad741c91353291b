/** Turning a site's secrets from plain to sealed and back, as the rest of the program sees it. */

import type { SealingKeyPlaces } from "../config/config.ts";

/** What was sealed. */
export interface Sealed {
  readonly count: number;
  readonly keyId: string;
  /** Paths of copies from before an upgrade, which had the secrets as they were. */
  readonly removed: readonly string[];
}

/** What can be done with the secrets of a site, whose keys are at `keys`; each can be cut short and done again. */
export interface Sealing {
  /** Seals every secret that is not. */
  seal(keys: SealingKeyPlaces): Promise<Sealed>;
  /** Seals every secret under a new key, and forgets the old one. */
  rotateKey(keys: SealingKeyPlaces): Promise<Sealed>;
  /** Makes every secret plain again; the key file stays. */
  unseal(keys: SealingKeyPlaces): Promise<{ readonly count: number }>;
}
