/** `device rotate`: a new secret or certificate without a gap. */

import type { Config } from "../config/config.ts";
import { durationMs, isDuration } from "../config/setting_types.ts";
import { type DeviceWithSecret, Registry } from "../store/sqlite/registry.ts";
import type { Database } from "../store/sqlite/database.ts";
import { createDeviceBundle, secretFileOf } from "../site/operations/device_bundle.ts";
import { updateBroker } from "../site/operations/broker_update.ts";
import type { SiteLayout } from "../site/layout.ts";
import { atomicWrite } from "../site/atomic_write.ts";
import { printBrokerUpdate } from "./revocation_report.ts";
import { makeSecret, readSecret, refuseSharing } from "./secret_file.ts";
import { unknownDevice } from "./unknown_device.ts";
import { configOf, layoutOf, openRegistry, type SiteOption, withStore } from "./open_site.ts";
import { CommandError, EXIT, print } from "./terminal.ts";

/** What `device rotate` may be told. */
export interface RotateOptions extends SiteOption {
  readonly secret?: true;
  readonly secretFile?: string;
  readonly overlap: string;
  readonly certificate?: true;
  readonly validDays?: number;
  readonly finish?: true;
  readonly force?: true;
}

interface Rotation {
  readonly layout: SiteLayout;
  readonly config: Config;
  readonly store: Database;
  readonly registry: Registry;
  readonly device: DeviceWithSecret;
}

const OVERLAP_MAX_MS = 3_650 * 86_400_000;

/** Gives a device a new secret or a new certificate, or ends what was before. */
export async function rotateDevice(deviceId: string, options: RotateOptions): Promise<void> {
  const overlapSeconds = checkOptions(options);
  const layout = layoutOf(options);
  const config = configOf(layout);
  await withStore(config, async (store) => {
    const registry = openRegistry(store, config);
    const device = registry.find(deviceId);
    if (!device) throw unknownDevice(deviceId);
    const rotation = { layout, config, store, registry, device };
    if (options.secret) await rotateSecret(rotation, { ...options, overlapSeconds });
    if (options.certificate) await rotateCertificate(rotation, options);
    if (options.finish) await finish(rotation, options);
  });
}

/** Refuses what makes no sense together; returns the overlap in seconds. */
function checkOptions({ secret, secretFile, certificate, finish, overlap }: RotateOptions): number {
  const wrong = (fault: string, hint: string) =>
    new CommandError(fault, { exit: EXIT.wrongUse, hint });
  if (!secret && !certificate && !finish) {
    throw wrong("Say what to rotate", "Give --secret, --certificate, or --finish afterwards");
  }
  if (finish && (secret || certificate)) {
    throw wrong("Cannot begin and end a rotation at once", "Give --finish once the device has it");
  }
  if (secretFile !== undefined && !secret) {
    throw wrong("Cannot take a secret from a file", "Give --secret as well");
  }
  if (!isDuration(overlap) || durationMs(overlap) > OVERLAP_MAX_MS) {
    throw wrong(`Cannot use the overlap "${overlap}"`, 'Give a duration such as "7d" or "12h"');
  }
  return Math.floor(durationMs(overlap) / 1000);
}

/** In the store first: the device can only be given a secret that the gateway takes. */
async function rotateSecret(
  { layout, registry, device }: Rotation,
  options: RotateOptions & { overlapSeconds: number },
): Promise<void> {
  const { deviceId } = device;
  const secret = options.secretFile === undefined ? makeSecret() : readSecret(options.secretFile);
  refuseSharing(registry, secret);
  const until = Math.floor(Date.now() / 1000) + options.overlapSeconds;
  registry.rotateSecret(deviceId, secret, { until });
  const path = await secretFileOf(layout, deviceId);
  if (path !== undefined) await atomicWrite(path, secret);
  print(`${deviceId} has a new secret: ${path ?? "the one you gave"} is what goes onto the device`);
  print(`The one it uses now is good until ${new Date(until * 1000).toISOString()}`);
  print(`See which one it uses: secure-iot-gateway device show ${deviceId}`);
}

async function rotateCertificate(
  { layout, config, registry, device }: Rotation,
  { validDays }: RotateOptions,
): Promise<void> {
  const { deviceId, sharedSecret: secret } = registry.find(device.deviceId)!;
  const bundle = await createDeviceBundle({
    layout,
    deviceId,
    secret,
    nowMs: Date.now(),
    brokerHost: config.devices.host,
    mqttPort: config.devices.port,
    replace: true,
    ...(validDays !== undefined && { validDays }),
  });
  if (!bundle.ok) throw new CommandError(bundle.fault);
  registry.addCertificate(deviceId, bundle);
  const end = new Date(bundle.notAfter * 1000).toISOString();
  print(`${deviceId} has a new certificate until ${end}: ${bundle.directory} goes onto the device`);
  print(`Those before stay good: secure-iot-gateway device rotate ${deviceId} --finish ends that`);
}

/** What the device was seen to use stays; all before it ends. */
async function finish(rotation: Rotation, { force }: RotateOptions): Promise<void> {
  const { registry, device, layout, config, store } = rotation;
  const { deviceId, generation, previous } = device;
  const used = registry.secretUses(deviceId).some((use) => use.generation === generation);
  if (previous && !used && !force) {
    throw new CommandError(
      `Cannot end the overlap: ${deviceId} was not seen to use its new secret`,
      {
        hint: "Wait until device show says so, or give --force",
      },
    );
  }
  const nowSeconds = Math.floor(Date.now() / 1000);
  registry.endOverlap(deviceId, nowSeconds);
  const [newest] = registry.certificates(deviceId);
  const withdrawn = newest ? registry.withdrawOthers(deviceId, newest.serial, nowSeconds) : 0;
  print(`${deviceId} has its newest secret only; ${withdrawn} certificates were withdrawn`);
  if (registry.revokedCertificates(nowSeconds).every((one) => one.deviceId !== deviceId)) return;
  const update = await updateBroker(store, { layout, config, nowMs: Date.now() });
  printBrokerUpdate(update, "Until then the broker may take the certificates before");
}
