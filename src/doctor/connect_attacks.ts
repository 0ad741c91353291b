/** Who tries to come in: everybody but a device with a good certificate is refused. */

import { createAuthority, openCertificate, revokedBy } from "../site/pki/authority.ts";
import { brokerPid } from "../site/mosquitto/reload.ts";
import { connectError, type Credential, type Listener } from "../site/mosquitto/access_probe.ts";
import { certificatesOf } from "../site/pki/device_authorities.ts";
import { type Check, type CheckOutcome, failed, ok, warning } from "./check.ts";
import type { Listeners, OwnListeners } from "./listeners.ts";
import { listeningPorts } from "./listening_ports.ts";
import { parseMosquittoConf } from "../site/mosquitto/conf_parser.ts";
import { offerOldTls } from "./legacy_tls.ts";
import { temporaryCertificate, temporaryId } from "./temporary_device.ts";

/** Whether anybody with a good certificate is let in: without that, a refusal says nothing. */
export const WELCOME_CHECK: Check<OwnListeners> = { name: "good certificate", look: welcome };

/** The attacks that anybody can make. */
export const DOOR_ATTACKS: readonly Check<Listeners>[] = [
  { name: "no certificate", look: nobody },
  { name: "foreign authority", look: foreigner },
  { name: "TLS 1.1", look: oldTls },
  { name: "open ports", look: openPorts },
];

/** The attacks with a certificate of the site's own authority. */
export const CERTIFICATE_ATTACKS: readonly Check<OwnListeners>[] = [
  { name: "revoked certificate", look: revoked },
  { name: "device at the gateway's door", look: climber },
];

const MEND = "Restart the broker with the configuration of this site";

async function welcome({ devices, authority, site }: OwnListeners): Promise<CheckOutcome> {
  const name = temporaryId();
  const credential = await temporaryCertificate(authority, name, site);
  const refusal = await connectError(devices, credential, name);
  return refusal === undefined
    ? ok(`let in at ${devices.host}:${devices.port}`)
    : failed(`refused: ${refusal}`, "See the broker's log; it refuses every device like that");
}

async function nobody({ devices, gateway }: Listeners): Promise<CheckOutcome> {
  const atDevices = await tryDoor(devices, undefined);
  return atDevices.status === "ok" ? await tryDoor(gateway, undefined) : atDevices;
}

/** One that bears the same name as ours. */
async function foreigner({ devices, site }: Listeners): Promise<CheckOutcome> {
  const { nowMs, layout } = site;
  const own = certificatesOf(await Deno.readTextFile(layout.deviceCa.certificate))[0] ?? "";
  const [commonName = ""] = openCertificate(own).subjectName.getField("CN");
  const foreign = await createAuthority({ commonName, nowMs });
  return await tryDoor(devices, await temporaryCertificate(foreign, temporaryId(), { nowMs }));
}

/** Its serial number is the newest on the list, so that it was never good. */
async function revoked({ devices, site, authority }: OwnListeners): Promise<CheckOutcome> {
  const { layout, nowMs } = site;
  const listed = await revokedBy(
    authority.certificate,
    await Deno.readTextFile(layout.revocationList),
  );
  const newest = listed?.toSorted((one, other) => other.revokedAtMs - one.revokedAtMs)[0];
  if (newest === undefined) {
    return warning(
      `"${layout.revocationList}" names nobody, so that nothing can be shown by it`,
      "The next device revoke, or restore, puts a number of nobody on it",
    );
  }
  const { serial } = newest;
  return await tryDoor(
    devices,
    await temporaryCertificate(authority, temporaryId(), { nowMs, serial }),
  );
}

async function climber({ gateway, authority, site }: OwnListeners): Promise<CheckOutcome> {
  return await tryDoor(gateway, await temporaryCertificate(authority, temporaryId(), site));
}

async function oldTls({ devices, gateway }: Listeners): Promise<CheckOutcome> {
  for (const door of [devices, gateway]) {
    const { accepted, answer } = await offerOldTls(door);
    if (accepted) return failed(`${door.host}:${door.port}: ${answer}`, MEND);
    if (door === gateway) return ok(`refused: ${answer}`);
  }
  throw new Error("there is no door");
}

/** What really is open may be more than the configuration says by now. */
async function openPorts({ site }: Listeners): Promise<CheckOutcome> {
  const pid = await brokerPid(site.layout);
  if (typeof pid !== "number") return warning(`cannot be observed: ${pid.reason}`, pid.hint);
  const open = await listeningPorts(pid);
  if (open === undefined) {
    return warning(`the sockets of process ${pid} cannot be seen`, "Run this as root");
  }
  const { listeners } = await parseMosquittoConf(site.layout.brokerConfiguration);
  const extra = open.filter((port) => !listeners.some((one) => one.port === port));
  const remedy = "Restart the broker: it runs with another configuration than this one";
  if (extra.length > 0) return failed(`port ${extra.join(", ")}, which it is not told to`, remedy);
  return ok(`process ${pid} listens on ${open.join(" and ")}, and nowhere else`);
}

async function tryDoor(door: Listener, credential: Credential | undefined): Promise<CheckOutcome> {
  const refusal = await connectError(door, credential, temporaryId());
  const where = `${door.host}:${door.port}`;
  if (refusal === undefined) return failed(`let in at ${where}`, MEND);
  // Somebody who was not there did not refuse.
  if (/ECONNREFUSED|timed? ?out/i.test(refusal)) throw new Error(`${where}: ${refusal}`);
  return ok(`refused: ${refusal}`);
}
