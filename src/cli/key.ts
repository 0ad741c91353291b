/** `key add`, `list` and `remove`: who may use the gateway's API. */

import { API_KEYS_MAX, type ApiKey, type ApiKeyRole } from "../store/api_keys.ts";
import { isDeviceId } from "../core/device.ts";
import { wrapped } from "../core/line_wrap.ts";
import { secondsOf } from "../core/time.ts";
import { apiKeyDigest } from "../config/credentials.ts";
import type { RegistryStore } from "../store/registry.ts";
import { createApiKey } from "../site/operations/site_creation.ts";
import { unknownDevice } from "./unknown_device.ts";
import { configOf, layoutOf, withStore } from "./open_site.ts";
import { type JsonOption, printJson } from "./json_output.ts";
import { CommandError, EXIT, lineChars, note, print, printable, showOrUndo } from "./terminal.ts";

/** What a new key is for; nothing given: commands to every device, and the metrics. */
interface ScopeOptions extends JsonOption {
  readonly device: readonly string[];
  readonly metricsOnly?: true;
  readonly view?: true;
  readonly operate?: true;
}

/** Makes a key and prints it; the store keeps its hash only. */
export async function addKey(name: string, options: ScopeOptions): Promise<void> {
  if (!isDeviceId(name)) {
    throw new CommandError(
      `Cannot name a key "${name}": a name is made of letters, digits, "_", "." and "-"`,
      { exit: EXIT.usage },
    );
  }
  const deviceIds = scopeOf(options);
  const role = roleOf(options);
  const key = createApiKey();
  await withStore(configOf(layoutOf(options)), async ({ apiKeys, registry }) => {
    await refuseUnknown(deviceIds ?? [], registry);
    if ((await apiKeys.list()).length >= API_KEYS_MAX) {
      throw new CommandError(
        `Cannot add a key: there are ${API_KEYS_MAX} already, the most; remove one first`,
      );
    }
    const createdAt = secondsOf(Date.now());
    if (!await apiKeys.add(apiKeyDigest(key), { name, createdAt, role, deviceIds })) {
      throw new CommandError(`Key "${name}" exists already`, {
        hint: `To replace it, remove it first: secure-iot-gateway key remove ${name}`,
      });
    }
  });
  const devices = deviceIds ?? "every";
  await showOrUndo(
    () => options.json ? printJson({ name, key, role, devices }) : print(key),
    () => withStore(configOf(layoutOf(options)), ({ apiKeys }) => apiKeys.remove(name)),
  );
  if (!options.json) {
    note(`Added ${name}, for ${scopeText({ role, deviceIds })}; the key is not shown again`);
  }
}

/** Lists every key by its name; the keys themselves are not known here. */
export async function listKeys(options: JsonOption): Promise<void> {
  const config = configOf(layoutOf(options));
  const keys = await withStore(config, ({ apiKeys }) => apiKeys.list());
  if (options.json) return printJson(keys.map(describe));
  print(row("NAME", "ADDED", "FOR"));
  for (const key of keys) {
    const { name, created_at } = describe(key);
    sayKey(printable(name), created_at.slice(0, 10), printable(scopeText(key)));
  }
}

/** Removes a key; a running gateway refuses it from its next request on. */
export async function removeKey(name: string, options: JsonOption): Promise<void> {
  const config = configOf(layoutOf(options));
  const removed = await withStore(config, ({ apiKeys }) => apiKeys.remove(name));
  if (!removed) {
    throw new CommandError(`There is no key "${name}"`, {
      hint: "See secure-iot-gateway key list",
    });
  }
  if (options.json) return printJson({ name, removed: true });
  print(`Removed ${name}`);
}

function roleOf({ view, operate, metricsOnly }: ScopeOptions): ApiKeyRole {
  if ([view, operate, metricsOnly].filter((one) => one).length > 1) {
    throw new CommandError("Only one of --view, --operate and --metrics-only may be given", {
      exit: EXIT.usage,
    });
  }
  if (operate) return "operate";
  return view ? "view" : "commands";
}

function scopeOf({ device, metricsOnly }: ScopeOptions): readonly string[] | undefined {
  if (!metricsOnly) return device.length === 0 ? undefined : device;
  if (device.length === 0) return [];
  throw new CommandError("Cannot take both --device and --metrics-only", { exit: EXIT.usage });
}

/** A key for a device that does not exist is a mistake that would stay unnoticed. */
async function refuseUnknown(
  deviceIds: readonly string[],
  registry: RegistryStore,
): Promise<void> {
  for (const deviceId of deviceIds) {
    if (!await registry.find(deviceId)) throw unknownDevice(deviceId);
  }
}

/** What a key is for, in words. */
function scopeText({ role, deviceIds }: Pick<ApiKey, "role" | "deviceIds">): string {
  if (deviceIds?.length === 0) return role === "commands" ? "metrics only" : `nothing, to ${role}`;
  const devices = deviceIds?.join(", ") ?? "every device";
  return role === "commands" ? devices : `${devices}, to ${role}`;
}

function describe({ name, createdAt, role, deviceIds }: ApiKey) {
  const created_at = new Date(createdAt * 1000).toISOString();
  return { name, created_at, role, devices: deviceIds ?? "every" };
}

/** A long name has a line of its own, and a long scope several. */
function sayKey(name: string, added: string, scope: string): void {
  const isLong = name.length > NAME_WIDTH;
  if (isLong) print(name);
  const scopes = wrapped(scope, Math.max(SCOPE_MIN_CHARS, lineChars() - row("", "", "").length));
  for (const [i, line] of scopes.entries()) {
    print(i === 0 ? row(isLong ? "" : name, added, line) : row("", "", line));
  }
}

const NAME_WIDTH = 24;
const SCOPE_MIN_CHARS = 20;

function row(name: string, added: string, scope: string): string {
  return `${name.padEnd(NAME_WIDTH)}  ${added.padEnd(10)}  ${scope}`;
}
