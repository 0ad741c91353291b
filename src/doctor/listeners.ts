/** The broker as it runs: its doors, and who goes there. */

import { isEveryAddress } from "../config/listen_address.ts";
import { type ConnectOptions, DeviceClient, type DeviceIdentity } from "../client/device_client.ts";
import type { Authority } from "../site/pki/authority.ts";
import type { Listener } from "../site/mosquitto/access_probe.ts";
import { openDeviceAuthorities } from "../site/pki/device_authorities.ts";
import { doorsOf } from "./broker_checks.ts";
import type { Site } from "./check.ts";
import { parseMosquittoConf } from "../site/mosquitto/conf_parser.ts";
import { temporaryCertificate, temporaryId, temporarySecret } from "./temporary_device.ts";

/** The broker's two doors, as its configuration has them. */
export interface Listeners {
  readonly site: Site;
  readonly devices: Listener;
  readonly gateway: Listener;
}

/** The same, with what it takes to make certificates for devices. */
export interface OwnListeners extends Listeners {
  readonly authority: Authority;
}

/** Where the doors are; throws where that cannot be read. */
export async function findListeners(site: Site): Promise<Listeners> {
  const { layout, config } = site;
  const { devices, gateway } = doorsOf(site, await parseMosquittoConf(layout.brokerConfiguration));
  const ca = await Deno.readTextFile(config.broker.ca);
  const door = (port: number, address = config.broker.host) => ({
    host: isEveryAddress(address) ? config.broker.host : address,
    port,
    ca,
  });
  return {
    site,
    devices: door(devices?.port ?? config.devices.port, devices?.address),
    gateway: door(gateway?.port ?? config.broker.port, gateway?.address),
  };
}

/** The doors with the authority's key, or why that is not to be had. */
export async function ownListeners(doors: Listeners): Promise<OwnListeners | string> {
  const opened = await openDeviceAuthorities(doors.site.layout);
  return opened.ok ? { ...doors, authority: opened.authorities[0] } : opened.fault;
}

/** Why nobody answers at a door; undefined where somebody does. */
export async function closedListener({ host, port }: Listener): Promise<string | undefined> {
  try {
    (await Deno.connect({ hostname: host, port })).close();
    return undefined;
  } catch (error) {
    return `nobody answers at ${host}:${port}: ${(error as Error).message}`;
  }
}

/** Guests of the devices' door: devices of the doctor's that are connected. */
export class TestDevices {
  readonly doors: OwnListeners;
  readonly #connected: DeviceClient[] = [];

  constructor(doors: OwnListeners) {
    this.doors = doors;
  }

  /** A device that nobody knows, with a certificate that the broker accepts. */
  async invite(options: Partial<ConnectOptions> = {}): Promise<DeviceClient> {
    return await this.seat(await this.identity(), options);
  }

  /** An identity that is known to nobody but us. */
  async identity(): Promise<DeviceIdentity & Awaited<ReturnType<typeof temporaryCertificate>>> {
    const { authority, devices, site } = this.doors;
    const deviceId = temporaryId();
    const issued = await temporaryCertificate(authority, deviceId, { nowMs: site.nowMs });
    return {
      ...issued,
      deviceId,
      secret: temporarySecret(),
      ca: devices.ca,
      certificate: issued.certificatePem,
      key: issued.keyPem,
    };
  }

  /** Connects one. */
  async seat(
    identity: DeviceIdentity,
    options: Partial<ConnectOptions> = {},
  ): Promise<DeviceClient> {
    const { host, port } = this.doors.devices;
    const guest = await DeviceClient.connect(identity, { host, port, ...options });
    this.#connected.push(guest);
    return guest;
  }

  /** Sends all of them home. */
  async close(): Promise<void> {
    for (const guest of this.#connected) await guest.close();
  }
}
