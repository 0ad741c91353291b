/** The store of a live site, beside its gateway. */

import type { Config } from "../../src/config/config.ts";
import { apiKeyDigest } from "../../src/config/credentials.ts";
import { secondsOf } from "../../src/core/time.ts";
import type { ApiKeyRole } from "../../src/store/api_keys.ts";
import { openStore } from "../../src/store/open_store.ts";
import type { Store } from "../../src/store/store.ts";
import { storePlaceIn } from "../../src/store/store_place.ts";

/** Opens the site's store, whichever engine it has, for as long as `work` takes. */
export async function withSiteStore<T>(
  { config }: { readonly config: Config },
  work: (store: Store) => Promise<T>,
): Promise<T> {
  const store = await openStore(storePlaceIn(config), { author: "command" });
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}

/** Registers an API key as `key add` does, for every device if none is named; returns it. */
export async function addApiKey(
  site: { readonly config: Config },
  name: string,
  { role, deviceIds }: { readonly role: ApiKeyRole; readonly deviceIds?: readonly string[] },
): Promise<string> {
  const key = crypto.randomUUID();
  await withSiteStore(site, async ({ apiKeys }) => {
    const createdAt = secondsOf(Date.now());
    await apiKeys.add(apiKeyDigest(key), { name, createdAt, role, deviceIds });
  });
  return key;
}
