/** Certificates: their keys, their authorities, and when they expire. */

import { isEveryAddress } from "../config/listen_address.ts";
import { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { keyPairFault, readCertificateFile } from "../config/credentials.ts";
import { earliestEnd, WARN_DAYS } from "../config/expiry.ts";
import { openCertificate, revokedBy } from "../site/pki/authority.ts";
import { isIssuedBy } from "../site/pki/certificate_view.ts";
import { certificatesOf } from "../site/pki/device_authorities.ts";
import { type Check, type CheckOutcome, fail, pass, passUnless, type Site, warn } from "./check.ts";
import { deviceFolders, sitePairs } from "./site_files.ts";
import { readOperatorFile, readText } from "../config/operator_file.ts";
import { exists } from "../site/exists.ts";
import { DAY_MS } from "../core/time.ts";

/** The checks of this family. */
export const CERTIFICATE_CHECKS: readonly Check<Site>[] = [
  { name: "key pairs", look: keyPairs },
  { name: "chains", look: chains },
  { name: "certificate ends", look: ends },
  { name: "revocation list", look: revocationList },
];

/** Only keys that are here: an authority's key may be stored elsewhere. */
async function keyPairs(site: Site): Promise<CheckOutcome> {
  const pairs = [
    ...sitePairs(site).values(),
    ...await deviceFolders(site),
  ];
  let count = 0;
  const faults: string[] = [];
  for (const pair of pairs) {
    if (!await exists(pair.certificate) || !await exists(pair.key)) continue;
    count++;
    const fault = keyPairFault(pair);
    if (fault !== undefined) faults.push(fault);
  }
  return passUnless(faults, {
    observed: `${count} keys match their certificates`,
    remedy: "Restore both files from a backup",
  });
}

async function chains(site: Site): Promise<CheckOutcome> {
  const { layout, config } = site;
  const gatewayCa = authorities(config.broker.ca);
  const deviceCa = authorities(layout.deviceCa.certificate);
  const faults = [...gatewayCa, ...deviceCa].filter(({ ca }) => !ca)
    .map(({ subject }) => `"${subject}" is not an authority: it may not issue certificates`);
  const broker = certificate(layout.broker.certificate);
  faults.push(...await strangers(layout.broker.certificate, broker, gatewayCa));
  faults.push(...unnamed(broker, [config.broker.host, config.devices.host]));
  const gateway = certificate(config.broker.certificate);
  faults.push(...await strangers(config.broker.certificate, gateway, gatewayCa));
  for (const folder of await deviceFolders(site)) {
    if (!await exists(folder.certificate)) continue;
    const issued = certificate(folder.certificate);
    faults.push(...await strangers(folder.certificate, issued, deviceCa));
  }
  return passUnless(faults, {
    observed: "every certificate is issued by its authority, and the broker's names its hosts",
    remedy:
      "A name that is missing: secure-iot-gateway certificate renew broker --add-host NAME; else " +
      "restore the file from a backup; for a device: device rotate ID --certificate",
  });
}

async function ends(site: Site): Promise<CheckOutcome> {
  const paths = new Set([
    ...[...sitePairs(site).values()].map(({ certificate }) => certificate),
    site.config.broker.ca,
    ...(site.config.backend.ca === undefined ? [] : [site.config.backend.ca]),
  ]);
  const found: { path: string; endMs: number }[] = [];
  for (const path of paths) {
    const end = await exists(path) ? earliestEnd(readOperatorFile(path)) : undefined;
    if (end !== undefined) found.push({ path, endMs: end * 1000 });
  }
  found.sort((one, other) => one.endMs - other.endMs);
  return judgeEnds(found, site);
}

async function revocationList(site: Site): Promise<CheckOutcome> {
  const { layout, nowMs } = site;
  const path = layout.revocationList;
  const pem = await readText(path);
  const pems = certificatesOf(await readText(layout.deviceCa.certificate));
  const named = await Promise.all(pems.map((one) => revokedBy(openCertificate(one), pem)));
  if (named.includes(undefined)) {
    return fail(
      `"${path}" cannot be read, or is not signed by its authority`,
      "Run device restore ID for any device that is not revoked: it writes the list again",
    );
  }
  const count = `${named.reduce((sum, one) => sum + one!.length, 0)} on it`;
  const end = earliestEnd(new TextEncoder().encode(pem));
  if (end === undefined) return pass(`${count}, without an expiry date`);
  const judged = judgeEnds([{ path, endMs: end * 1000 }], { nowMs });
  return judged.status === "pass" ? pass(`${count}, valid until ${dayOf(end * 1000)}`) : judged;
}

function judgeEnds(
  found: readonly { path: string; endMs: number }[],
  { nowMs }: Pick<Site, "nowMs">,
): CheckOutcome {
  const near = found.filter(({ endMs }) => endMs - nowMs <= WARN_DAYS * DAY_MS);
  const [first] = found;
  if (near.length === 0) {
    return pass(`the first to expire: "${first?.path}", ${dayOf(first?.endMs ?? 0)}`);
  }
  const over = near.some(({ endMs }) => endMs < nowMs);
  const faults = near.map(({ path, endMs }) =>
    `"${path}" ${endMs < nowMs ? "expired on" : "expires on"} ${dayOf(endMs)}`
  );
  return (over ? fail : warn)(
    faults.join("; "),
    "Of broker, gateway or API: secure-iot-gateway certificate renew broker (or gateway, api); " +
      "another file: replace it before it expires, see docs/operator/certificates.md",
  );
}

async function strangers(
  path: string,
  issued: X509Certificate,
  by: readonly X509Certificate[],
): Promise<string[]> {
  for (const one of by) if (await isIssuedBy(issued.toString(), one.toString())) return [];
  return [`"${path}" was not issued by this site's authority`];
}

function unnamed(broker: X509Certificate, hosts: readonly string[]): string[] {
  const known = (host: string) =>
    isEveryAddress(host) || (isIP(host) ? broker.checkIP(host) : broker.checkHost(host));
  return [...new Set(hosts)].filter((host) => !known(host))
    .map((host) => `the broker's certificate does not name "${host}"`);
}

function authorities(path: string): X509Certificate[] {
  return readCertificateFile(path).map((pem) => new X509Certificate(pem));
}

function certificate(path: string): X509Certificate {
  return new X509Certificate(readCertificateFile(path)[0]);
}

function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}
