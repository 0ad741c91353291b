/** Where a site's broker is, and what to show there. */

import type { Config } from "../../config/config.ts";
import { readBrokerCredentials, StartError } from "../../config/credentials.ts";
import type { SiteLayout } from "../layout.ts";
import type { Credential, Listener } from "../mosquitto/access_probe.ts";
import { readText } from "../../config/operator_file.ts";
import type { BrokerFilesFault } from "./revocation_fault.ts";

/** The broker's two listeners, with the gateway's credential for its own. */
export interface BrokerAccess {
  readonly layout: SiteLayout;
  readonly devices: Listener;
  /** The gateway's own listener and credential. */
  readonly gateway: { readonly listener: Listener; readonly credential: Credential };
  readonly nowMs: number;
}

/** A site whose files and settings were read, at one moment. */
export interface OpenSite {
  readonly layout: SiteLayout;
  readonly config: Config;
  readonly nowMs: number;
}

/** Reads what is needed to reach the broker; a fault says which file cannot be read. */
export async function readBrokerAccess(
  { layout, config, nowMs }: OpenSite,
): Promise<{ ok: true; access: BrokerAccess } | { ok: false; fault: BrokerFilesFault }> {
  try {
    const { ca, certificate: certificatePem, key: keyPem } = readBrokerCredentials(config.broker);
    const text = await readText(layout.brokerConfiguration);
    const { host, port } = config.broker;
    const devicePort = Number(/^listener (\d+)/m.exec(text)?.[1] ?? config.devices.port);
    const credential = { certificatePem, keyPem };
    const devices = { host, ca, port: devicePort };
    const gateway = { listener: { host, ca, port }, credential };
    return { ok: true, access: { layout, nowMs, devices, gateway } };
  } catch (error) {
    const kind = error instanceof StartError ? "credential_unusable" : "broker_files_unreadable";
    return { ok: false, fault: { kind, reason: (error as Error).message } };
  }
}
