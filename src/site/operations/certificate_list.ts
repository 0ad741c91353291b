/** Use case: every certificate of a site itself, with when it ends and who uses it. */

import type { Config } from "../../config/config.ts";
import { readCertificateFile, StartError } from "../../config/credentials.ts";
import { DAY_MS } from "../../core/time.ts";
import { exists } from "../exists.ts";
import { type CertificateView, certificateViews } from "../pki/certificate_view.ts";
import type { OpenSite } from "./broker_access.ts";

/** What a certificate is used as. */
export type CertificateUse =
  /** Shown by the broker to devices and to the gateway. */
  | "broker"
  /** Shown by the gateway to the broker. */
  | "gateway"
  /** Shown by the gateway's API. */
  | "api"
  /** Whom devices and backend trust: it signs the broker's and the gateway's. */
  | "gateway_authority"
  /** It signs the devices'. */
  | "device_authority"
  /** Shown to the broker to test it. */
  | "probe"
  | "backend_authority"
  | "backend_client"
  | "store_authority"
  | "store_client";

/** A certificate in a file of the site. */
export interface ListedCertificate extends CertificateView {
  readonly path: string;
  readonly uses: readonly CertificateUse[];
  /** Whole days until it ends; negative if it has. */
  readonly daysLeft: number;
}

/** The certificates, the soonest to end first, and the files that cannot be read. */
interface CertificateList {
  readonly certificates: readonly ListedCertificate[];
  readonly unreadable: readonly { readonly path: string; readonly reason: string }[];
}

/** Reads every certificate that the site has or its settings name; a missing file is left out. */
export async function listCertificates(site: OpenSite): Promise<CertificateList> {
  const certificates: ListedCertificate[] = [];
  const unreadable: { path: string; reason: string }[] = [];
  for (const [path, uses] of usesByPath(site)) {
    if (!await exists(path)) continue;
    try {
      const views = certificateViews(readCertificateFile(path).join(""));
      certificates.push(...views.map((view) => ({
        ...view,
        path,
        uses,
        daysLeft: Math.floor((view.endMs - site.nowMs) / DAY_MS),
      })));
    } catch (error) {
      if (!(error instanceof StartError)) throw error;
      unreadable.push({ path, reason: error.message });
    }
  }
  certificates.sort((one, other) => one.endMs - other.endMs || (one.path < other.path ? -1 : 1));
  return { certificates, unreadable };
}

/** Each file once, with everything that it is used as. */
function usesByPath({ layout, config }: OpenSite): Map<string, CertificateUse[]> {
  const uses = new Map<string, CertificateUse[]>();
  const all: readonly [CertificateUse, string | undefined][] = [
    ["broker", layout.broker.certificate],
    ["gateway", config.broker.certificate],
    ["api", config.api.certificate],
    ["gateway_authority", layout.gatewayCa.certificate],
    ["gateway_authority", config.broker.ca],
    ["device_authority", layout.deviceCa.certificate],
    ["probe", layout.probe.certificate],
    ...elsewhere(config),
  ];
  for (const [use, path] of all) {
    if (path === undefined || uses.get(path)?.includes(use)) continue;
    uses.set(path, [...uses.get(path) ?? [], use]);
  }
  return uses;
}

/** What is shown to the backend and the store, and whom of them the gateway trusts. */
function elsewhere({ backend, store }: Config): [CertificateUse, string | undefined][] {
  return [
    ["backend_authority", backend.ca],
    ["backend_client", backend.pair?.certificate],
    ["store_authority", store.server?.ca],
    ["store_client", store.server?.pair?.certificate],
  ];
}
