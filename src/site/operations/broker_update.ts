/** Brings what the registry says to the broker of a site. */

import type { RegistryStore } from "../../store/registry.ts";
import { type OpenSite, readBrokerAccess } from "./broker_access.ts";
import { enforceRevocations, type RevocationResult, type Target } from "./revocation.ts";

/** Reads how to reach the broker, then enforces the revocations there; never throws for a site's fault. */
export async function updateBroker(
  registry: RegistryStore,
  site: OpenSite,
  target?: Target,
): Promise<RevocationResult> {
  const read = await readBrokerAccess(site);
  if (!read.ok) return { steps: [], fault: read.fault };
  return await enforceRevocations(registry, read.access, { ...(target && { target }) });
}
