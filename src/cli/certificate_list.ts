/** `certificate list`. */

import { counted } from "../core/counted.ts";
import {
  type CertificateUse,
  listCertificates,
  type ListedCertificate,
} from "../site/operations/certificate_list.ts";
import { type JsonOption, printJson } from "./json_output.ts";
import { configOf, layoutOf } from "./open_site.ts";
import { note, print, printable } from "./terminal.ts";

const USES: Readonly<Record<CertificateUse, string>> = {
  broker: "the broker, for devices and gateway",
  gateway: "the gateway, at the broker",
  api: "the gateway's API",
  gateway_authority: "authority: devices, gateway and backend trust it",
  device_authority: "authority: the broker trusts its devices",
  probe: "tests of the broker",
  backend_authority: "authority: the gateway trusts the backend by it",
  backend_client: "the gateway, at the backend",
  store_authority: "authority: the gateway trusts the store by it",
  store_client: "the gateway, at the store",
};

/** Lists every certificate of the site itself, the soonest to end first. */
export async function certificateList(options: JsonOption): Promise<void> {
  const layout = layoutOf(options);
  const site = { layout, config: configOf(layout), nowMs: Date.now() };
  const { certificates, unreadable } = await listCertificates(site);
  for (const { reason } of unreadable) note(`warning: ${printable(reason)}`);
  if (options.json) return printJson(certificates.map(describe));
  for (const line of certificates.flatMap((one) => linesOf(one, layout.directory))) {
    print(printable(line));
  }
}

function describe({ endMs, ...rest }: ListedCertificate) {
  return { ...rest, until: new Date(endMs).toISOString() };
}

/** A line on when it ends, then what it is, each within 80 columns where its names allow it. */
function linesOf(one: ListedCertificate, directory: string): string[] {
  const { path, uses, subject, names, issuer, serial, endMs, daysLeft } = one;
  const place = path.startsWith(`${directory}/`) ? path.slice(directory.length + 1) : path;
  const end = new Date(endMs).toISOString().slice(0, 10);
  const left = daysLeft < 0 ? "EXPIRED" : `${counted(daysLeft, "day")} left`;
  return [
    `${place}: until ${end}, ${left}`,
    `  used by  ${uses.map((use) => USES[use]).join("; ")}`,
    `  subject  ${subject}${subject === issuer ? "" : `, issued by ${issuer}`}`,
    ...(names.length === 0 ? [] : [`  names    ${names.join(", ")}`]),
    `  serial   ${serial}`,
  ];
}
