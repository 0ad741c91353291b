/** The broker as it runs: its doors, and who goes there. */

import { type ConnectOptions, type DeviceIdentity, SampleDevice } from "../demo/sample_device.ts";
import type { Authority } from "../site/authority.ts";
import type { Door } from "../site/canary.ts";
import { openDeviceAuthorities } from "../site/device_authorities.ts";
import { doorsOf } from "./broker_checks.ts";
import type { Site } from "./check.ts";
import { parseMosquittoConf } from "./mosquitto_conf.ts";
import { throwAwayCertificate, throwAwayId, throwAwaySecret } from "./throw_away.ts";

/** The broker's two doors, as its configuration has them. */
export interface Doors {
  readonly site: Site;
  readonly devices: Door;
  readonly gateway: Door;
}

/** The same, with what it takes to make certificates for devices. */
export interface OwnDoors extends Doors {
  readonly authority: Authority;
}

/** An address that means every one of the machine is none to connect to. */
const EVERY_ADDRESS = ["0.0.0.0", "::"];

/** Where the doors are; throws where that cannot be read. */
export async function findDoors(site: Site): Promise<Doors> {
  const { layout, config } = site;
  const { devices, gateway } = doorsOf(site, await parseMosquittoConf(layout.brokerConfiguration));
  const ca = await Deno.readTextFile(config.broker.ca);
  const door = (port: number, address = config.broker.host) => ({
    host: EVERY_ADDRESS.includes(address) ? config.broker.host : address,
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
export async function ownDoors(doors: Doors): Promise<OwnDoors | string> {
  const opened = await openDeviceAuthorities(doors.site.layout);
  return opened.ok ? { ...doors, authority: opened.authorities[0] } : opened.fault;
}

/** Why nobody answers at a door; undefined where somebody does. */
export async function closedDoor({ host, port }: Door): Promise<string | undefined> {
  try {
    (await Deno.connect({ hostname: host, port })).close();
    return undefined;
  } catch (error) {
    return `nobody answers at ${host}:${port}: ${(error as Error).message}`;
  }
}

/** Guests of the devices' door: devices of the doctor's that are connected. */
export class Guests {
  readonly doors: OwnDoors;
  readonly #connected: SampleDevice[] = [];

  constructor(doors: OwnDoors) {
    this.doors = doors;
  }

  /** A device that nobody knows, with a certificate that the broker accepts. */
  async invite(options: Partial<ConnectOptions> = {}): Promise<SampleDevice> {
    return await this.seat(await this.identity(), options);
  }

  /** An identity that is known to nobody but us. */
  async identity(): Promise<DeviceIdentity & Awaited<ReturnType<typeof throwAwayCertificate>>> {
    const { authority, devices, site } = this.doors;
    const deviceId = throwAwayId();
    const issued = await throwAwayCertificate(authority, deviceId, { nowMs: site.nowMs });
    return {
      ...issued,
      deviceId,
      secret: throwAwaySecret(),
      ca: devices.ca,
      certificate: issued.certificatePem,
      key: issued.keyPem,
    };
  }

  /** Connects one. */
  async seat(
    identity: DeviceIdentity,
    options: Partial<ConnectOptions> = {},
  ): Promise<SampleDevice> {
    const { host, port } = this.doors.devices;
    const guest = await SampleDevice.connect(identity, { host, port, ...options });
    this.#connected.push(guest);
    return guest;
  }

  /** Sends all of them home. */
  async close(): Promise<void> {
    for (const guest of this.#connected) await guest.close();
  }
}
