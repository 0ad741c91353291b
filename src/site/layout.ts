/** Where everything in a site is. Only this file joins paths of a site. */

import { basename, dirname, join, resolve } from "node:path";
import { DEVICE_FILES } from "../core/device.ts";

/** A certificate and its private key, as paths. */
export interface CredentialPaths {
  readonly certificate: string;
  readonly key: string;
}

/** Every absolute path in a site. */
export interface SiteLayout {
  readonly directory: string;
  readonly configuration: string;
  readonly gitIgnore: string;
  readonly apiKey: string;
  readonly certificatesFolder: string;
  /** The authority that issues; during a move, its certificate file holds the previous one's too. */
  readonly deviceCa: CredentialPaths;
  /** There only while a new authority takes over. */
  readonly previousDeviceCa: CredentialPaths;
  /** There only for the moment in which it is made. */
  readonly nextDeviceCa: CredentialPaths;
  readonly gatewayCa: CredentialPaths;
  readonly broker: CredentialPaths;
  readonly gateway: CredentialPaths;
  /** Of a device that there is not, with which a broker is tried; on a gateway among several. */
  readonly probe: CredentialPaths;
  readonly revocationList: string;
  readonly brokerFolder: string;
  readonly brokerConfiguration: string;
  /** Written by the broker itself while it runs. */
  readonly brokerPid: string;
  /** Where the broker keeps its sessions. */
  readonly brokerSessions: string;
  readonly aclDevices: string;
  readonly aclGateway: string;
  readonly dataFolder: string;
  readonly database: string;
  readonly devicesFolder: string;
}

/** What goes onto one device, as absolute paths. */
export interface DeviceFolder {
  readonly directory: string;
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
  readonly secret: string;
  readonly description: string;
}

/** The layout of the site in `directory`; a relative one counts from the current folder. */
export function siteLayout(directory: string): SiteLayout {
  const root = resolve(directory);
  const certificatesFolder = join(root, "certs");
  const brokerFolder = join(root, "mosquitto");
  const dataFolder = join(root, "data");
  return {
    directory: root,
    configuration: join(root, "gateway.toml"),
    gitIgnore: join(root, ".gitignore"),
    apiKey: join(root, "api.key"),
    certificatesFolder,
    deviceCa: credentialPaths(certificatesFolder, "device-ca"),
    previousDeviceCa: credentialPaths(certificatesFolder, "device-ca.previous"),
    nextDeviceCa: credentialPaths(certificatesFolder, "device-ca.next"),
    gatewayCa: credentialPaths(certificatesFolder, "gateway-ca"),
    broker: credentialPaths(certificatesFolder, "broker"),
    gateway: credentialPaths(certificatesFolder, "gateway"),
    probe: credentialPaths(certificatesFolder, "probe"),
    revocationList: join(certificatesFolder, "device-ca.crl"),
    brokerFolder,
    brokerConfiguration: join(brokerFolder, "mosquitto.conf"),
    brokerPid: join(brokerFolder, "mosquitto.pid"),
    brokerSessions: join(brokerFolder, "mosquitto.db"),
    aclDevices: join(brokerFolder, "acl_devices"),
    aclGateway: join(brokerFolder, "acl_gateway"),
    dataFolder,
    database: join(dataFolder, "gateway.db"),
    devicesFolder: join(root, "devices"),
  };
}

/** The site in whose folder nodes/ a gateway's folder is; undefined if it is in no such folder. */
export function siteOfNode({ directory }: SiteLayout): SiteLayout | undefined {
  const nodes = dirname(directory);
  return basename(nodes) === "nodes" ? siteLayout(dirname(nodes)) : undefined;
}

/** The folder of one device; `deviceId` must have passed `isDeviceId`. */
export function deviceFolder(layout: SiteLayout, deviceId: string): DeviceFolder {
  return deviceFolderAt(join(layout.devicesFolder, deviceId));
}

/** The files of a device folder at `directory`. */
export function deviceFolderAt(directory: string): DeviceFolder {
  return {
    directory,
    ca: join(directory, DEVICE_FILES.ca),
    certificate: join(directory, DEVICE_FILES.certificate),
    key: join(directory, DEVICE_FILES.key),
    secret: join(directory, DEVICE_FILES.secret),
    description: join(directory, DEVICE_FILES.description),
  };
}

function credentialPaths(folder: string, name: string): CredentialPaths {
  return { certificate: join(folder, `${name}.crt`), key: join(folder, `${name}.key`) };
}
