/** Who tries to come in: everybody but a device with a good certificate is refused. */

import { createAuthority, openCertificate, revokedBy } from "../site/authority.ts";
import { brokerPid } from "../site/broker_reload.ts";
import { type Credential, type Door, refusalAt } from "../site/canary.ts";
import { certificatesOf } from "../site/device_authorities.ts";
import { type Check, failed, ok, type Outcome, warning } from "./check.ts";
import type { Doors, OwnDoors } from "./doors.ts";
import { listeningPorts } from "./listening_ports.ts";
import { parseMosquittoConf } from "./mosquitto_conf.ts";
import { offerOldTls } from "./old_tls.ts";
import { throwAwayCertificate, throwAwayId } from "./throw_away.ts";

/** Whether anybody with a good certificate is let in: without that, a refusal says nothing. */
export const WELCOME_CHECK: Check<OwnDoors> = { name: "good certificate", look: welcome };

/** The attacks that anybody can make. */
export const DOOR_ATTACKS: readonly Check<Doors>[] = [
  { name: "no certificate", look: nobody },
  { name: "foreign authority", look: foreigner },
  { name: "TLS 1.1", look: oldTls },
  { name: "open ports", look: openPorts },
];

/** The attacks with a certificate of the site's own authority. */
export const CERTIFICATE_ATTACKS: readonly Check<OwnDoors>[] = [
  { name: "revoked certificate", look: revoked },
  { name: "device at the gateway's door", look: climber },
];

const MEND = "Restart the broker with the configuration of this site";

async function welcome({ devices, authority, site }: OwnDoors): Promise<Outcome> {
  const name = throwAwayId();
  const credential = await throwAwayCertificate(authority, name, site);
  const refusal = await refusalAt(devices, credential, name);
  return refusal === undefined
    ? ok(`let in at ${devices.host}:${devices.port}`)
    : failed(`refused: ${refusal}`, "See the broker's log; it refuses every device like that");
}

async function nobody({ devices, gateway }: Doors): Promise<Outcome> {
  const atDevices = await tryDoor(devices, undefined);
  return atDevices.verdict === "ok" ? await tryDoor(gateway, undefined) : atDevices;
}

/** One that bears the same name as ours. */
async function foreigner({ devices, site }: Doors): Promise<Outcome> {
  const { nowMs, layout } = site;
  const own = certificatesOf(await Deno.readTextFile(layout.deviceCa.certificate))[0] ?? "";
  const [commonName = ""] = openCertificate(own).subjectName.getField("CN");
  const foreign = await createAuthority({ commonName, nowMs });
  return await tryDoor(devices, await throwAwayCertificate(foreign, throwAwayId(), { nowMs }));
}

/** Its serial number is the newest on the list, so that it was never good. */
async function revoked({ devices, site, authority }: OwnDoors): Promise<Outcome> {
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
    await throwAwayCertificate(authority, throwAwayId(), { nowMs, serial }),
  );
}

async function climber({ gateway, authority, site }: OwnDoors): Promise<Outcome> {
  return await tryDoor(gateway, await throwAwayCertificate(authority, throwAwayId(), site));
}

async function oldTls({ devices, gateway }: Doors): Promise<Outcome> {
  for (const door of [devices, gateway]) {
    const { accepted, answer } = await offerOldTls(door);
    if (accepted) return failed(`${door.host}:${door.port}: ${answer}`, MEND);
    if (door === gateway) return ok(`refused: ${answer}`);
  }
  throw new Error("there is no door");
}

/** What really is open may be more than the configuration says by now. */
async function openPorts({ site }: Doors): Promise<Outcome> {
  const pid = await brokerPid(site.layout);
  if (typeof pid !== "number") return warning(`cannot be seen: ${pid.reason}`, pid.hint);
  const open = await listeningPorts(pid);
  if (open === undefined) {
    return warning(`the sockets of process ${pid} cannot be seen`, "Run this as root");
  }
  const { listeners } = await parseMosquittoConf(site.layout.brokerConfiguration);
  const extra = open.filter((port) => !listeners.some((one) => one.port === port));
  const mend = "Restart the broker: it runs with another configuration than this one";
  if (extra.length > 0) return failed(`port ${extra.join(", ")}, which it is not told to`, mend);
  return ok(`process ${pid} listens on ${open.join(" and ")}, and nowhere else`);
}

async function tryDoor(door: Door, credential: Credential | undefined): Promise<Outcome> {
  const refusal = await refusalAt(door, credential, throwAwayId());
  const where = `${door.host}:${door.port}`;
  if (refusal === undefined) return failed(`let in at ${where}`, MEND);
  // Somebody who was not there did not refuse.
  if (/ECONNREFUSED|timed? ?out/i.test(refusal)) throw new Error(`${where}: ${refusal}`);
  return ok(`refused: ${refusal}`);
}
