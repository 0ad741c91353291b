/** Attempts to connect: all are refused, except that of a device with a good certificate. */

import { createAuthority, openCertificate, revokedBy } from "../site/pki/authority.ts";
import { brokerPid } from "../site/mosquitto/reload.ts";
import { connectError, type Credential, type Listener } from "../site/mosquitto/access_probe.ts";
import { certificatesOf } from "../site/pki/device_authorities.ts";
import { type Check, type CheckOutcome, fail, pass, warn } from "./check.ts";
import type { Listeners, OwnListeners } from "./listeners.ts";
import { listeningPorts } from "./listening_ports.ts";
import { parseMosquittoConf } from "../site/mosquitto/conf_parser.ts";
import { offerOldTls } from "./legacy_tls.ts";
import { temporaryCertificate, temporaryId } from "./temporary_device.ts";
import { readText } from "../config/operator_file.ts";

/** Whether a good certificate is accepted: without that, a refusal proves nothing. */
export const ACCEPTANCE_CHECK: Check<OwnListeners> = {
  name: "good certificate",
  look: acceptsValid,
};

/** The attacks that need no certificate of this site. */
export const CONNECT_ATTACKS: readonly Check<Listeners>[] = [
  { name: "no certificate", look: rejectsNoCertificate },
  { name: "foreign authority", look: rejectsForeignCa },
  { name: "TLS 1.1", look: rejectsOldTls },
  { name: "open ports", look: openPorts },
];

/** The attacks with a certificate of the site's own authority. */
export const CERTIFICATE_ATTACKS: readonly Check<OwnListeners>[] = [
  { name: "revoked certificate", look: rejectsRevoked },
  { name: "device at the gateway's listener", look: rejectsDeviceAtGatewayListener },
];

const REMEDY = "Restart the broker with this site's mosquitto.conf: systemctl restart mosquitto";

async function acceptsValid({ devices, authority, site }: OwnListeners): Promise<CheckOutcome> {
  const name = temporaryId();
  const credential = await temporaryCertificate(authority, name, site);
  const refusal = await connectError(devices, credential, name);
  return refusal === undefined ? pass(`accepted at ${devices.host}:${devices.port}`) : fail(
    `refused: ${refusal}`,
    "See the broker's log (journalctl -u mosquitto): no device can connect now",
  );
}

async function rejectsNoCertificate({ devices, gateway }: Listeners): Promise<CheckOutcome> {
  const atDevices = await tryToConnect(devices, undefined);
  return atDevices.status === "pass" ? await tryToConnect(gateway, undefined) : atDevices;
}

/** An authority that has the same name as ours. */
async function rejectsForeignCa({ devices, site }: Listeners): Promise<CheckOutcome> {
  const { nowMs, layout } = site;
  const own = certificatesOf(await readText(layout.deviceCa.certificate))[0] ?? "";
  const [commonName = ""] = openCertificate(own).subjectName.getField("CN");
  const foreign = await createAuthority({ commonName, nowMs });
  return await tryToConnect(devices, await temporaryCertificate(foreign, temporaryId(), { nowMs }));
}

/** Its serial number is the newest on the list, so that it was never valid. */
async function rejectsRevoked({ devices, site, authority }: OwnListeners): Promise<CheckOutcome> {
  const { layout, nowMs } = site;
  const listed = await revokedBy(
    authority.certificate,
    await readText(layout.revocationList),
  );
  const newest = listed?.toSorted((one, other) => other.revokedAtMs - one.revokedAtMs)[0];
  if (newest === undefined) {
    return warn(
      `"${layout.revocationList}" is empty, so this cannot be tested`,
      "Run device restore ID for any device: it adds an unused number to the list",
    );
  }
  const { serial } = newest;
  return await tryToConnect(
    devices,
    await temporaryCertificate(authority, temporaryId(), { nowMs, serial }),
  );
}

async function rejectsDeviceAtGatewayListener(
  { gateway, authority, site }: OwnListeners,
): Promise<CheckOutcome> {
  return await tryToConnect(gateway, await temporaryCertificate(authority, temporaryId(), site));
}

async function rejectsOldTls({ devices, gateway }: Listeners): Promise<CheckOutcome> {
  for (const listener of [devices, gateway]) {
    const { accepted, answer } = await offerOldTls(listener);
    if (accepted) return fail(`${listener.host}:${listener.port}: ${answer}`, REMEDY);
    if (listener === gateway) return pass(`refused: ${answer}`);
  }
  throw new Error("there is no listener");
}

/** More ports may be open than the configuration says, if the file was changed since the start. */
async function openPorts({ site }: Listeners): Promise<CheckOutcome> {
  const pid = await brokerPid(site.layout);
  if (typeof pid !== "number") return warn(`cannot be checked: ${pid.reason}`, pid.hint);
  const open = await listeningPorts(pid);
  if (open === undefined) {
    return warn(
      `the sockets of process ${pid} cannot be seen`,
      "Run doctor as root: sudo secure-iot-gateway doctor",
    );
  }
  const { listeners } = await parseMosquittoConf(site.layout.brokerConfiguration);
  const extra = open.filter((port) => !listeners.some((one) => one.port === port));
  const remedy = "The broker runs with another configuration: systemctl restart mosquitto";
  if (extra.length > 0) {
    return fail(`port ${extra.join(", ")} is open, but not in mosquitto.conf`, remedy);
  }
  return pass(`process ${pid} listens on ${open.join(" and ")}, no others`);
}

async function tryToConnect(
  listener: Listener,
  credential: Credential | undefined,
): Promise<CheckOutcome> {
  const refusal = await connectError(listener, credential, temporaryId());
  const where = `${listener.host}:${listener.port}`;
  if (refusal === undefined) return fail(`accepted at ${where}`, REMEDY);
  // A broker that is down did not refuse anything.
  if (/ECONNREFUSED|timed? ?out/i.test(refusal)) throw new Error(`${where}: ${refusal}`);
  return pass(`refused: ${refusal}`);
}
