/** A site as the version before acknowledgements and receipts made it, with everything running. */

import { fileURLToPath } from "node:url";
import { type LiveSite, withLiveSite } from "./live_site.ts";

/** The access lists of such a site. */
const LISTS = fileURLToPath(new URL("./older_site", import.meta.url));

/** Runs `work` with one; everything is stopped and gone afterwards. */
export async function withOlderSite(work: (site: LiveSite) => Promise<void>): Promise<void> {
  await withLiveSite(async (site) => {
    await site.stopBroker();
    await writeOlderLists(site.layout.brokerFolder);
    await site.startBroker();
    await site.startGateway();
    await work(site);
  }, { start: false });
}

/** Puts the older access lists in place of the new ones, whose owner and mode they get. */
async function writeOlderLists(brokerFolder: string): Promise<void> {
  for (const name of ["acl_devices", "acl_gateway"]) {
    await Deno.writeTextFile(
      `${brokerFolder}/${name}`,
      await Deno.readTextFile(`${LISTS}/${name}`),
    );
  }
}
