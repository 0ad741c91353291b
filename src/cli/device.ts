/** `device list`, `show` and `remove`: the registry. */

import { Buffer } from "node:buffer";
import { type RegisteredDevice, type SecretUse, statusOf } from "../store/device_record.ts";
import { Registry } from "../store/sqlite/registry.ts";
import { isSealed } from "../store/sealed_secret.ts";
import { removeDeviceBundle } from "../site/operations/device_bundle.ts";
import { configOf, layoutOf, type SiteOption, withStore } from "./open_site.ts";
import { CommandError, EXIT, print, printable } from "./terminal.ts";

/** Bytes of a generated secret, before they become base64url text. */
const SECRET_BYTES = 32;

/** Longest secret that is taken from a file, in characters. */
const SECRET_MAX_CHARS = 1024;

/** Lists every device; never a secret. */
export async function listDevices(options: SiteOption & { readonly json?: true }): Promise<void> {
  const devices = await withStore(
    configOf(layoutOf(options)),
    (store) => new Registry(store).list(),
  );
  if (options.json) return print(JSON.stringify(devices.map(describe), null, 2));
  print(row("DEVICE", "STANDING", "ADDED", "CERTIFICATE UNTIL"));
  for (const device of devices.map(describe)) {
    const { device_id, standing, created_at, certificate_not_after } = device;
    print(row(printable(device_id), standing, day(created_at), day(certificate_not_after)));
  }
}

/** Shows one device; never a secret. */
export async function showDevice(
  deviceId: string,
  options: SiteOption & { readonly json?: true },
): Promise<void> {
  const config = configOf(layoutOf(options));
  const { device, uses } = await withStore(config, (store) => {
    const registry = new Registry(store);
    return { device: registry.find(deviceId), uses: registry.secretUses(deviceId) };
  });
  if (!device) throw unknownDevice(deviceId);
  const description = describe(device);
  const secrets = describeSecrets(device, uses);
  if (options.json) return print(JSON.stringify({ ...description, secrets }, null, 2));
  for (const [name, value] of Object.entries(description)) {
    print(`${name}: ${printable(value ?? "-")}`);
  }
  for (const { number, good_until, last_used_at } of secrets) {
    const end = good_until === null ? "newest" : `good until ${good_until}`;
    print(`secret ${number}: ${end}, last used: ${last_used_at ?? "never"}`);
  }
}

/** Takes a device out of the registry, with its folder. */
export async function removeDevice(deviceId: string, options: SiteOption): Promise<void> {
  const layout = layoutOf(options);
  const removed = await withStore(
    configOf(layout),
    (store) => new Registry(store).remove(deviceId),
  );
  const hadFolder = await removeDeviceBundle(layout, deviceId);
  if (!removed && !hadFolder) throw unknownDevice(deviceId);
  print(`Removed ${deviceId}`);
}

/** A new secret: 32 random bytes as base64url text. */
export function makeSecret(): string {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(SECRET_BYTES))).toString("base64url");
}

/** Two devices with one secret could sign for each other. */
export function refuseSharing(registry: Registry, secret: string): void {
  const holder = registry.holderOf(secret);
  if (holder === undefined) return;
  throw new CommandError(`Cannot use the secret: device "${holder}" has it already`);
}

/** The failure for an id that the registry does not have. */
export function unknownDevice(deviceId: string): CommandError {
  return new CommandError(`There is no device "${deviceId}"`, {
    hint: "See secure-iot-gateway device list",
  });
}

/** A secret from a file; one newline at its end is not part of it. */
export function readSecret(path: string): string {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(Deno.readFileSync(path));
  } catch (error) {
    const reason = error instanceof TypeError ? "it is not UTF-8" : (error as Error).message;
    throw new CommandError(`Cannot read the secret from "${path}": ${reason}`, {
      exit: EXIT.wrongUse,
    });
  }
  const secret = text.replace(/\r?\n$/, "");
  const fault = secretFault(secret);
  if (fault === undefined) return secret;
  throw new CommandError(`Cannot use the secret in "${path}": ${fault}`, { exit: EXIT.wrongUse });
}

/** Why a text is no secret, or undefined where it is one. */
export function secretFault(secret: string): string | undefined {
  // deno-lint-ignore no-control-regex
  if (secret === "" || secret.length > SECRET_MAX_CHARS || /[\x00-\x1f\x7f]/.test(secret)) {
    return `it must be one line of 1 to ${SECRET_MAX_CHARS} characters`;
  }
  return isSealed(secret) ? "it is one that this gateway has sealed" : undefined;
}

function describe(device: RegisteredDevice) {
  return {
    device_id: device.deviceId,
    standing: statusOf(device, Math.floor(Date.now() / 1000)),
    created_at: isoOf(device.createdAt),
    certificate_not_after: isoOf(device.notAfter),
    revoked_at: isoOf(device.revokedAt),
    revoked_reason: device.revokedReason || null,
  };
}

/** The secrets of a device, the newest first; a gateway that runs notes each use within a minute. */
function describeSecrets(device: RegisteredDevice, uses: readonly SecretUse[]) {
  const { generation, previous } = device;
  const describe = (number: number, until: number | undefined) => ({
    number,
    good_until: isoOf(until),
    last_used_at: isoOf(uses.find((use) => use.generation === number)?.lastUsed),
  });
  const newest = describe(generation, undefined);
  return previous ? [newest, describe(previous.generation, previous.until)] : [newest];
}

function isoOf(unixSeconds: number | undefined): string | null {
  if (unixSeconds === undefined) return null;
  const date = new Date(unixSeconds * 1000);
  return Number.isNaN(date.getTime()) ? null : date.toISOString();
}

function day(iso: string | null): string {
  return iso?.slice(0, 10) ?? "-";
}

function row(device: string, standing: string, added: string, until: string): string {
  return `${device.padEnd(24)}  ${standing.padEnd(8)}  ${added.padEnd(10)}  ${until}`;
}
