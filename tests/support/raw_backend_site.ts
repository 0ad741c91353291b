/** A live site with a backend that speaks HTTP by hand. */

import { type LiveSite, type LiveSiteOptions, withLiveSite } from "./live_site.ts";
import { RawBackend, type RawBackendOptions } from "./raw_backend.ts";

/** A live site whose backend speaks HTTP by hand. */
export async function withRawBackend(
  work: (site: LiveSite, backend: RawBackend) => Promise<void>,
  options: RawBackendOptions & LiveSiteOptions = {},
): Promise<void> {
  const backend = RawBackend.start(options);
  const settings = { BACKEND_URL: backend.url, BACKEND_TIMEOUT: "1s", ...options.settings };
  try {
    await withLiveSite((site) => work(site, backend), { ...options, settings });
  } finally {
    await backend.stop();
  }
}
