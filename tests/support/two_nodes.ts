/** Two gateways with a broker each, which share a store on PostgreSQL, a backend and the devices. */

import { apiKeyDigest } from "../../src/config/credentials.ts";
import { openStore } from "../../src/store/open_store.ts";
import { storePlaceIn } from "../../src/store/store_place.ts";
import { LiveSite, type LiveSiteOptions } from "./live_site.ts";
import { TemporaryPostgres } from "./temporary_postgres.ts";
import { withFolder } from "./with_folder.ts";

/** The nodes; devices are registered at either, and known to both. */
export interface TwoNodes {
  readonly postgres: TemporaryPostgres;
  readonly a: LiveSite;
  readonly b: LiveSite;
}

/** How long a node may be silent before the other takes over, as a setting. */
const LEASE = "2s";

/** Runs `work` with two running nodes; everything is stopped and gone afterwards. */
export async function withTwoNodes(
  work: (nodes: TwoNodes) => Promise<void>,
  options: LiveSiteOptions = {},
): Promise<void> {
  const postgres = await TemporaryPostgres.start();
  try {
    const { user, database, hosts } = await postgres.place();
    const list = hosts.map(({ host, port }) => `${host}:${port}`).join();
    const settings = (name: string) => ({
      ...options.settings,
      ...{ STORE_ENGINE: "postgres", STORE_URL: `postgres://${user}@${list}/${database}` },
      ...{ STORE_DURABILITY: "local", NODE_NAME: name, NODE_LEASE: LEASE },
    });
    await withFolder(async (folder) => {
      const a = await LiveSite.make(`${folder}/a`, { ...options, settings: settings("a") });
      await migrate(a);
      const b = await a.makeNode("b", { ...options, settings: settings("b") });
      try {
        for (const node of [a, b]) await node.startBroker();
        for (const node of [a, b]) await node.startGateway();
        await work({ postgres, a, b });
      } finally {
        for (const node of [a, b]) await node.close();
      }
    });
  } finally {
    await postgres.end();
  }
}

/** Makes the tables; the key of the API that the site was made with is the first one there. */
async function migrate({ config, layout }: LiveSite): Promise<void> {
  const store = await openStore(storePlaceIn(config), { author: "command", create: true });
  try {
    const key = await Deno.readTextFile(layout.apiKey);
    await store.apiKeys.importFirst(apiKeyDigest(key), Date.now());
  } finally {
    await store.close();
  }
}
