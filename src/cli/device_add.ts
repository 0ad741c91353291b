/** `device add`, `import` and `adopt`: how devices get into the registry. */

import { dirname, resolve } from "node:path";
import type { Config } from "../config/config.ts";
import { DEVICE_ID_RULE, isDeviceId } from "../core/device.ts";
import { readExistingDevices } from "../store/sqlite/existing_devices.ts";
import type { Registry } from "../store/sqlite/registry.ts";
import { enrolDevices, type EnrolmentRequest } from "../site/operations/enrolment.ts";
import type { SiteLayout } from "../site/layout.ts";
import { makeSecret, readSecret, secretFault } from "./secret_file.ts";
import { type DeviceLine, readDeviceLines } from "./device_file.ts";
import { showProgress } from "./progress.ts";
import { configOf, layoutOf, openRegistry, type SiteOption, withStore } from "./open_site.ts";
import { CommandError, EXIT, print } from "./terminal.ts";

/** What one device, or all of a file, may be given. */
export interface EnrolOptions extends SiteOption {
  readonly validDays?: number;
  readonly pem?: true;
}

/** A device that is asked for, and where: "line 7", or nothing where there is only one. */
type Wanted = EnrolmentRequest & { readonly place: string };

const FILE_MAX_BYTES = 64 * 1_048_576;
const REQUEST_MAX_BYTES = 65_536;
/** A database that is larger is read all the same; more faults than these are only counted. */
const FAULTS_NAMED_MAX = 100;

/** Registers a device and writes its folder. */
export async function addDevice(
  deviceId: string,
  options: EnrolOptions & { readonly secretFile?: string; readonly csr?: string },
): Promise<void> {
  const { secretFile, csr, validDays, pem } = options;
  if (!isDeviceId(deviceId)) throw new CommandError(nameFault(deviceId), { exit: EXIT.wrongUse });
  const request = csr === undefined ? undefined : readRequest(csr);
  const secret = secretFile === undefined ? makeSecret() : readSecret(secretFile);
  const [place] = await enrol([{
    place: "",
    deviceId,
    secret,
    ...(validDays !== undefined && { validDays }),
    ...(request !== undefined && { request }),
    ...(pem && { onePem: true }),
  }], options);
  print(`Added ${deviceId}: ${place} is what goes onto the device`);
}

/** Registers every device of a CSV or JSON Lines file, or none. */
export async function importDevices(file: string, options: EnrolOptions): Promise<void> {
  const read = readDeviceLines(readText(file, FILE_MAX_BYTES));
  const faults = [...read.faults];
  const wanted = read.lines.flatMap((line) => {
    const order = orderOf(line, { ...options, folder: dirname(resolve(file)) });
    if (typeof order !== "string") return [order];
    faults.push({ line: line.line, fault: order });
    return [];
  });
  if (faults.length > 0) {
    faults.sort((a, b) => a.line - b.line);
    throw manyFaults(faults.map(({ line, fault }) => `line ${line}: ${fault}`));
  }
  if (wanted.length === 0) throw new CommandError(`There is no device in "${file}"`);
  await enrol(wanted, options);
  print(
    `Added ${wanted.length} devices: ${layoutOf(options).devicesFolder} has what goes onto them`,
  );
}

/** Registers every device of a database that has the paper's table, with its own secret, or none. */
export async function adoptDevices(file: string, options: SiteOption): Promise<void> {
  const config = configOf(layoutOf(options));
  const rows = readRegistry(file);
  await withStore(config, (store) => {
    const registry = openRegistry(store, config);
    const holders = registry.secretHolders();
    const fresh = rows.filter((row) => holders.get(row.secret) !== row.deviceId);
    registerAll(
      registry,
      fresh.map(({ deviceId, secret, createdAt }) => ({
        deviceId,
        sharedSecret: secret,
        createdAt,
      })),
      { check: () => refuseFaults(fresh, registry) },
    );
    const before = rows.length - fresh.length;
    print(`Adopted ${fresh.length} devices` + (before > 0 ? `; ${before} were here already` : ""));
  });
  print("A certificate for one of them: secure-iot-gateway device rotate ID --certificate");
}

/** Enrols all, or says everything that keeps them from it; returns where each bundle is. */
async function enrol(wanted: readonly Wanted[], options: SiteOption): Promise<readonly string[]> {
  const layout = layoutOf(options);
  const config = configOf(layout);
  return await withStore(config, async (store) => {
    const registry = openRegistry(store, config);
    refuseFaults(wanted, registry);
    const progress = showProgress("Making certificates", wanted.length);
    const result = await enrolDevices(wanted, partsOf(registry, layout, { config, progress }))
      .finally(() => progress.end());
    if (result.ok) return result.places;
    throw manyFaults(result.faults.map(({ order, fault }) => placed(wanted[order]!, fault)));
  });
}

function partsOf(
  registry: Registry,
  layout: SiteLayout,
  options: { config: Config; progress: { to(done: number): void } },
) {
  const { config: { devices: { host: brokerHost, port: mqttPort } }, progress } = options;
  const nowMs = Date.now();
  return {
    layout,
    nowMs,
    brokerHost,
    mqttPort,
    isRegistered: (deviceId: string) => registry.find(deviceId) !== undefined,
    progress: (done: number) => progress.to(done),
    register: (
      devices: Parameters<Parameters<typeof enrolDevices>[1]["register"]>[0],
      place: () => void,
    ) => {
      const createdAt = Math.floor(nowMs / 1000);
      registerAll(
        registry,
        devices.map(({ order: { deviceId, secret }, draft: { certificate } }) => ({
          deviceId,
          sharedSecret: secret,
          createdAt,
          certificate,
        })),
        {
          // Once more, in the transaction: another process may have come first.
          check: () =>
            refuseFaults(devices.map(({ order }) => ({ ...order, place: "" })), registry),
          place,
        },
      );
    },
  };
}

function registerAll(...[registry, ...all]: [Registry, ...Parameters<Registry["addAll"]>]): void {
  try {
    registry.addAll(...all);
  } catch (error) {
    if (error instanceof CommandError) throw error;
    throw new CommandError(`Cannot register the devices: ${(error as Error).message}`);
  }
}

/** Ids and secrets that are taken, by a device that is there or by an earlier one of the same file. */
function refuseFaults(
  wanted: readonly Pick<Wanted, "deviceId" | "secret" | "place">[],
  registry: Registry,
): void {
  const ids = new Map(registry.list().map(({ deviceId }) => [deviceId.toLowerCase(), deviceId]));
  const holders = registry.secretHolders();
  const faults: string[] = [];
  for (const one of wanted) {
    const fault = faultOf(one, ids, holders);
    if (fault !== undefined) faults.push(placed(one, fault));
    ids.set(one.deviceId.toLowerCase(), one.deviceId);
    holders.set(one.secret, one.deviceId);
  }
  if (faults.length > 0) throw manyFaults(faults);
}

function faultOf(
  { deviceId, secret }: Pick<Wanted, "deviceId" | "secret">,
  ids: ReadonlyMap<string, string>,
  holders: ReadonlyMap<string, string>,
): string | undefined {
  if (!isDeviceId(deviceId)) return nameFault(deviceId);
  const clash = ids.get(deviceId.toLowerCase());
  if (clash === deviceId) return `Device "${deviceId}" exists already`;
  if (clash !== undefined) {
    return `Cannot add "${deviceId}": it differs only in case from "${clash}"`;
  }
  const fault = secretFault(secret);
  if (fault !== undefined) return `Cannot use the secret of "${deviceId}": ${fault}`;
  const holder = holders.get(secret);
  return holder === undefined
    ? undefined
    : `Cannot use the secret of "${deviceId}": device "${holder}" has it already`;
}

/** What a line asks for, or what is wrong with it. */
function orderOf(
  line: DeviceLine,
  options: EnrolOptions & { folder: string },
): Wanted | string {
  const { deviceId, secret = makeSecret(), validDays = options.validDays, csr } = line;
  try {
    const request = csr === undefined ? undefined : readRequest(resolve(options.folder, csr));
    return {
      place: `line ${line.line}`,
      deviceId,
      secret,
      ...(validDays !== undefined && { validDays }),
      ...(request !== undefined && { request }),
      ...(options.pem && { onePem: true }),
    };
  } catch (error) {
    if (error instanceof CommandError) return error.message;
    throw error;
  }
}

/** The rows of an existing `devices` table. */
function readRegistry(file: string) {
  try {
    return readExistingDevices(file).map((row, i) => ({ place: `row ${i + 1}`, ...row }));
  } catch (error) {
    throw new CommandError(`Cannot read a registry from "${file}": ${(error as Error).message}`, {
      hint: "It must be a SQLite file with the table devices(device_id, shared_secret, created_at)",
    });
  }
}

function readRequest(path: string): string {
  return readText(path, REQUEST_MAX_BYTES);
}

function readText(path: string, maxBytes: number): string {
  try {
    const { size } = Deno.statSync(path);
    if (size > maxBytes) throw new Error(`it has over ${maxBytes} bytes`);
    return new TextDecoder("utf-8", { fatal: true }).decode(Deno.readFileSync(path));
  } catch (error) {
    const reason = error instanceof TypeError ? "it is not UTF-8" : (error as Error).message;
    throw new CommandError(`Cannot read "${path}": ${reason}`, { exit: EXIT.wrongUse });
  }
}

function nameFault(deviceId: string): string {
  return `Cannot name a device "${deviceId}": an id has ${DEVICE_ID_RULE}`;
}

function placed({ place }: Pick<Wanted, "place">, fault: string): string {
  return place === "" ? fault : `${place}: ${fault}`;
}

function manyFaults(faults: readonly string[]): CommandError {
  const named = faults.slice(0, FAULTS_NAMED_MAX);
  const rest = faults.length - named.length;
  return new CommandError(rest > 0 ? [...named, `and ${rest} more faults`] : named, {
    ...(faults.length > 1 && { hint: "Nothing was done; mend these and run it again" }),
  });
}
