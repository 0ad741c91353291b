/** A live site whose gateway is a process of its own, so that its memory and time can be measured. */

import { GatewayProcess } from "../../src/demo/sandbox/gateway_process.ts";
import { type LiveSite, withLiveSite } from "./live_site.ts";

/** Runs `work` with such a site, which `prepare` has seen before the start; the gateway is killed in the end, if it still lives. */
export async function withOutsideGateway(
  work: (site: LiveSite, gateway: GatewayProcess) => Promise<void>,
  settings: Readonly<Record<string, string>> = {},
  prepare: (site: LiveSite) => Promise<void> = () => Promise.resolve(),
): Promise<void> {
  await withLiveSite(async (site) => {
    await prepare(site);
    const environment = Object.fromEntries(
      Object.entries({ BACKEND_URL: site.backend.url, ...settings })
        .map(([name, value]) => [`SECURE_IOT_GATEWAY_${name}`, value]),
    );
    const gateway = await GatewayProcess.start(site.layout.directory, { environment });
    try {
      await work(site, gateway);
    } finally {
      gateway.kill("SIGKILL");
      await gateway.exited;
    }
  }, { start: false });
}
