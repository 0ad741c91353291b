/** The broker as it runs: its listeners, and the doctor's devices there. */

import { isEveryAddress } from "../config/listen_address.ts";
import { type ConnectOptions, DeviceClient, type DeviceIdentity } from "../client/device_client.ts";
import type { Authority } from "../site/pki/authority.ts";
import type { Listener } from "../site/mosquitto/access_probe.ts";
import { openDeviceAuthorities } from "../site/pki/device_authorities.ts";
import { listenersOf } from "./broker_checks.ts";
import type { Site } from "./check.ts";
import { parseMosquittoConf } from "../site/mosquitto/conf_parser.ts";
import { temporaryCertificate, temporaryId, temporarySecret } from "./temporary_device.ts";
import { readCertificateFile } from "../config/credentials.ts";

/** The broker's two listeners, as its configuration has them. */
export interface Listeners {
  readonly site: Site;
  readonly devices: Listener;
  readonly gateway: Listener;
}

/** The same, with what it takes to make certificates for devices. */
export interface OwnListeners extends Listeners {
  readonly authority: Authority;
}

/** Where the listeners are; throws if that cannot be read. */
export async function findListeners(site: Site): Promise<Listeners> {
  const { layout, config } = site;
  const { devices, gateway } = listenersOf(
    site,
    await parseMosquittoConf(layout.brokerConfiguration),
  );
  const ca = readCertificateFile(config.broker.ca).join("");
  const listener = (port: number, address = config.broker.host) => ({
    host: isEveryAddress(address) ? config.broker.host : address,
    port,
    ca,
  });
  return {
    site,
    devices: listener(devices?.port ?? config.devices.port, devices?.address),
    gateway: listener(gateway?.port ?? config.broker.port, gateway?.address),
  };
}

/** The listeners with the authority's key, or why it cannot be read. */
export async function ownListeners(listeners: Listeners): Promise<OwnListeners | string> {
  const opened = await openDeviceAuthorities(listeners.site.layout);
  return opened.ok ? { ...listeners, authority: opened.authorities[0] } : opened.fault;
}

/** Why a listener does not accept a connection; undefined if it does. */
export async function closedListener({ host, port }: Listener): Promise<string | undefined> {
  try {
    (await Deno.connect({ hostname: host, port })).close();
    return undefined;
  } catch (error) {
    return `the broker does not answer at ${host}:${port}: ${(error as Error).message}`;
  }
}

/** The doctor's own devices, connected to the devices' listener. */
export class TestDevices {
  readonly listeners: OwnListeners;
  readonly #connected: DeviceClient[] = [];

  constructor(listeners: OwnListeners) {
    this.listeners = listeners;
  }

  /** Connects a device that is not registered, with a certificate that the broker accepts. */
  async connectNew(options: Partial<ConnectOptions> = {}): Promise<DeviceClient> {
    return await this.connect(await this.identity(), options);
  }

  /** The identity of a new device. */
  async identity(): Promise<DeviceIdentity & Awaited<ReturnType<typeof temporaryCertificate>>> {
    const { authority, devices, site } = this.listeners;
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
  async connect(
    identity: DeviceIdentity,
    options: Partial<ConnectOptions> = {},
  ): Promise<DeviceClient> {
    const { host, port } = this.listeners.devices;
    const device = await DeviceClient.connect(identity, { host, port, ...options });
    this.#connected.push(device);
    return device;
  }

  /** Disconnects all of them. */
  async close(): Promise<void> {
    for (const device of this.#connected) await device.close();
  }
}
