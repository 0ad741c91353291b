/** `device add` and `import`: new devices, with their certificates and folders. */

import { dirname, resolve } from "node:path";
import { readOperatorText } from "../config/operator_file.ts";
import { isDeviceId } from "../core/device.ts";
import { makeSecret } from "../site/device_secret.ts";
import { addDevices, type AddedDevice } from "../site/operations/add_devices.ts";
import type { EnrolmentRequest } from "../site/operations/enrolment.ts";
import { type DeviceLine, readDeviceLines } from "./device_file.ts";
import { enrolmentError, faultSentence, manyFaults } from "./enrolment_report.ts";
import { showProgress } from "./progress.ts";
import { configOf, layoutOf, openRegistry, type SiteOption, withStore } from "./open_site.ts";
import { readSecret } from "./secret_file.ts";
import { CommandError, EXIT, print, printJson } from "./terminal.ts";

/** What one device, or all of a file, may be given. */
interface EnrolOptions extends SiteOption {
  readonly validDays?: number;
  readonly pem?: true;
  readonly json?: true;
}

/** A device that is asked for, and where: "line 7", or nothing if there is only one. */
type Wanted = EnrolmentRequest & { readonly where: string };

const REQUEST_MAX_BYTES = 65_536;

/** Registers a device and writes its folder. */
export async function addDevice(
  deviceId: string,
  options: EnrolOptions & { readonly secretFile?: string; readonly csr?: string },
): Promise<void> {
  const { secretFile, csr, validDays, pem } = options;
  if (!isDeviceId(deviceId)) {
    throw new CommandError(faultSentence({ kind: "invalid_id", deviceId }), {
      exit: EXIT.wrongUse,
    });
  }
  const request = csr === undefined ? undefined : readRequest(csr);
  const secret = secretFile === undefined ? makeSecret() : readSecret(secretFile);
  const [device] = await enrol([{
    where: "",
    deviceId,
    secret,
    ...(validDays !== undefined && { validDays }),
    ...(request !== undefined && { request }),
    ...(pem && { onePem: true }),
  }], options);
  if (options.json) return printJson(device);
  print(`Added ${deviceId}: ${device!.bundle} goes onto the device`);
}

/** Registers every device of a CSV or JSON Lines file, or none. */
export async function importDevices(file: string, options: EnrolOptions): Promise<void> {
  const read = readDeviceLines(readText(file));
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
  const devices = await enrol(wanted, options);
  if (options.json) return printJson(devices);
  print(
    `Added ${wanted.length} devices: ${layoutOf(options).devicesFolder} has the folders for them`,
  );
}

/** Enrols all devices, or none and reports every fault. */
async function enrol(
  wanted: readonly Wanted[],
  options: SiteOption,
): Promise<readonly AddedDevice[]> {
  const layout = layoutOf(options);
  const config = configOf(layout);
  const site = { layout, config, nowMs: Date.now() };
  const bar = showProgress("Making certificates", wanted.length);
  const result = await withStore(config, (store) => {
    const requests = wanted.map(({ where: _, ...request }) => request);
    const progress = (done: number) => bar.to(done);
    return addDevices(openRegistry(store, config), site, { requests, progress });
  }).finally(() => bar.end());
  if (result.ok) return result.devices;
  throw enrolmentError(result.faults, wanted.map(({ where }) => where));
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
      where: `line ${line.line}`,
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

function readRequest(path: string): string {
  return readText(path, REQUEST_MAX_BYTES);
}

function readText(path: string, maxBytes?: number): string {
  try {
    return readOperatorText(path, maxBytes);
  } catch (error) {
    throw new CommandError(`Cannot read "${path}": ${(error as Error).message}`, {
      exit: EXIT.wrongUse,
    });
  }
}
