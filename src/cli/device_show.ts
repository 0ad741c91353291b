/** `device show`. */

import type { RegisteredDevice, SecretUse } from "../store/device_record.ts";
import { describeDevice, isoOf, lastSeenTimes } from "./device_description.ts";
import { type JsonOption, printJson } from "./json_output.ts";
import { configOf, layoutOf, withStore } from "./open_site.ts";
import { print, printable } from "./terminal.ts";
import { unknownDevice } from "./unknown_device.ts";

/** Shows one device; never a secret. */
export async function showDevice(deviceId: string, options: JsonOption): Promise<void> {
  const config = configOf(layoutOf(options));
  const { device, uses, rejection } = await withStore(config, async ({ registry, audit }) => ({
    device: await registry.find(deviceId),
    uses: await registry.secretUses(deviceId),
    rejection: await audit.lastRejection(deviceId),
  }));
  if (!device) throw unknownDevice(deviceId);
  const description = describeDevice(device, lastSeenTimes(uses).get(deviceId));
  const last_rejection = rejection ? { code: rejection.code, time: isoOf(rejection.at) } : null;
  const secrets = describeSecrets(device, uses);
  if (options.json) return printJson({ ...description, last_rejection, secrets });
  for (const [name, value] of Object.entries(description)) {
    print(`${name}: ${printable(value ?? "-")}`);
  }
  const rejected = last_rejection && `${last_rejection.code} at ${last_rejection.time}`;
  print(`last_rejection: ${printable(rejected ?? "-")}`);
  for (const { number, valid_until, last_used_at } of secrets) {
    const end = valid_until === null ? "newest" : `valid until ${valid_until}`;
    print(`secret ${number}: ${end}, last used: ${last_used_at ?? "never"}`);
  }
}

/** The secrets of a device, the newest first; a gateway that runs notes each use within a minute. */
function describeSecrets(device: RegisteredDevice, uses: readonly SecretUse[]) {
  const { generation, previous } = device;
  const describe = (number: number, until: number | undefined) => ({
    number,
    valid_until: isoOf(until),
    last_used_at: isoOf(uses.find((use) => use.generation === number)?.lastUsed),
  });
  const newest = describe(generation, undefined);
  return previous ? [newest, describe(previous.generation, previous.until)] : [newest];
}
