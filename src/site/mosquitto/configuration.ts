/** The broker's three files, rendered from the templates, and the user the broker runs as. Pure. */

import configurationTemplate from "../../../mosquitto/mosquitto.conf.template" with {
  type: "text",
};
import type { SiteLayout } from "../layout.ts";
import { NEW_LISTS } from "./access_list.ts";

/** The common name of gateway.crt, and so the gateway's user name at the broker. */
export const GATEWAY_COMMON_NAME = "gateway";

/** The texts of the broker's files. */
interface BrokerFiles {
  readonly brokerConfiguration: string;
  readonly aclDevices: string;
  readonly aclGateway: string;
}

/** Whom the broker becomes when root starts it, and why, in one line. */
export interface BrokerUser {
  readonly name: string;
  readonly reason: string;
  /** The account that must be given what the broker reads; absent if the owner runs it. */
  readonly recipient?: Account;
  /** Why it stays root, if it does although another user was wanted. */
  readonly staysRootBecause?: string;
}

/** A user account of the machine. */
interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** A folder on the way to the broker's files, with its permission bits. */
export interface FolderAccess {
  readonly path: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

const BROKER_ACCOUNT = "mosquitto";

// Control characters end a line or are refused by Mosquitto, as are the code points that are none.
const INEXPRESSIBLE = /[\p{Cc}\p{Cs}\p{Noncharacter_Code_Point}]/u;

// Authenticated encryption with forward secrecy, whichever kind of key the broker's certificate has.
const TLS12_CIPHERS = [
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-ECDSA-CHACHA20-POLY1305",
  "ECDHE-RSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "ECDHE-RSA-CHACHA20-POLY1305",
].join(":");

/** Renders the broker's files; the layout's directory must be a broker path. */
export function renderBrokerFiles(
  { layout, mqttPort, gatewayPort, user }: {
    layout: SiteLayout;
    mqttPort: number;
    gatewayPort: number;
    user: BrokerUser;
  },
): BrokerFiles {
  const values = {
    broker_configuration: layout.brokerConfiguration,
    broker_folder: layout.brokerFolder,
    broker_pid: layout.brokerPid,
    user: user.name,
    user_reason: user.reason,
    mqtt_port: String(mqttPort),
    gateway_port: String(gatewayPort),
    ciphers: TLS12_CIPHERS,
    device_ca: layout.deviceCa.certificate,
    gateway_ca: layout.gatewayCa.certificate,
    broker_certificate: layout.broker.certificate,
    broker_key: layout.broker.key,
    revocation_list: layout.revocationList,
    acl_devices: layout.aclDevices,
    acl_gateway: layout.aclGateway,
  };
  return {
    brokerConfiguration: fill(configurationTemplate, values),
    aclDevices: NEW_LISTS.devices,
    aclGateway: NEW_LISTS.gateway,
  };
}

/** True if mosquitto.conf can name files below `directory`. */
export function isBrokerPath(directory: string): boolean {
  return !INEXPRESSIBLE.test(directory);
}

/**
 * Chooses the broker's user from who owns the site, the text of /etc/passwd, and the folders from the
 * root down to the broker's files. Mosquitto changes to that user before it reads a key.
 */
export function chooseBrokerUser(
  facts: { ownerUid: number; passwd: string; folders: readonly FolderAccess[] },
): BrokerUser {
  const accounts = parseAccounts(facts.passwd);
  if (facts.ownerUid !== 0) {
    return ownersUser(facts.ownerUid, accounts);
  }
  const account = accounts.find(({ name }) => name === BROKER_ACCOUNT);
  if (account === undefined) {
    return rootUser(`there is no user "${BROKER_ACCOUNT}" on this machine`);
  }
  const closed = facts.folders.find((folder) => !mayEnter(account, folder));
  if (closed !== undefined) {
    return rootUser(`the user "${BROKER_ACCOUNT}" may not enter ${JSON.stringify(closed.path)}`);
  }
  return {
    name: account.name,
    reason: "Root made this site and gave this user what the broker reads and writes.",
    recipient: account,
  };
}

function ownersUser(ownerUid: number, accounts: readonly Account[]): BrokerUser {
  const owner = accounts.find(({ uid }) => uid === ownerUid);
  return owner
    ? { name: owner.name, reason: "The owner of this site." }
    : { name: "root", reason: `The owner of this site, user ${ownerUid}, has no name here.` };
}

function rootUser(cause: string): BrokerUser {
  return {
    name: "root",
    reason: `Root made this site, and ${cause}.`,
    staysRootBecause: cause,
  };
}

/** Supplementary groups are left out: at worst the broker runs as root without need. */
function mayEnter(account: Account, folder: FolderAccess): boolean {
  if (folder.uid === account.uid) return (folder.mode & 0o100) !== 0;
  if (folder.gid === account.gid) return (folder.mode & 0o010) !== 0;
  return (folder.mode & 0o001) !== 0;
}

function parseAccounts(passwd: string): Account[] {
  return passwd.split("\n").map((line) => line.split(":")).filter((fields) => fields.length >= 7)
    .map(([name = "", _password, uid, gid]) => ({ name, uid: Number(uid), gid: Number(gid) }));
}

function fill(template: string, values: Readonly<Record<string, string>>): string {
  return template.replaceAll(/\{\{(\w+)\}\}/g, (_placeholder, name: string) => {
    const value = values[name];
    if (value === undefined) {
      throw new Error(`Cannot fill in the broker template: nothing is named "${name}"`);
    }
    return value;
  });
}
