/** `device add` and `import`: new devices, with their certificates and folders. */

import { counted } from "../core/counted.ts";
import { dirname, resolve } from "node:path";
import { readOperatorText } from "../config/operator_file.ts";
import { isDeviceId } from "../core/device.ts";
import { makeSecret } from "../site/device_secret.ts";
import { addDevices, type AddedDevice } from "../site/operations/add_devices.ts";
import { checkEnrolment, type EnrolmentRequest } from "../site/operations/enrolment.ts";
import type { KeyType } from "../site/pki/authority.ts";
import { readFile, readRequest } from "./request_file.ts";
import { type DeviceLine, type LineFault, readDeviceLines } from "./device_file.ts";
import {
  enrolmentError,
  faultsByLine,
  faultSentence,
  lineName,
  manyFaults,
} from "./enrolment_report.ts";
import { showProgress } from "./progress.ts";
import { configOf, layoutOf, type SiteOption, withSecrets } from "./open_site.ts";
import { readSecret } from "./secret_file.ts";
import { type JsonOption, printJson } from "./json_output.ts";
import { CommandError, EXIT, print } from "./terminal.ts";

/** What one device, or all of a file, may be given. */
interface EnrolOptions extends JsonOption {
  readonly validDays?: number;
  readonly pem?: true;
  readonly keyType?: KeyType;
}

/** A device that is asked for, on a line of a file or alone. */
type Wanted = EnrolmentRequest & { readonly line: number | undefined };

/** Registers a device and writes its folder. */
export async function addDevice(
  deviceId: string,
  options: EnrolOptions & { readonly secretFile?: string; readonly csr?: string },
): Promise<void> {
  const { secretFile, csr, validDays, pem, keyType } = options;
  if (csr !== undefined && keyType !== undefined) {
    throw new CommandError("Cannot make a key for a request", {
      exit: EXIT.usage,
      hint: "Give --csr or --key-type, not both",
    });
  }
  if (!isDeviceId(deviceId)) {
    throw new CommandError(faultSentence({ kind: "invalid_id", deviceId }), {
      exit: EXIT.usage,
    });
  }
  const publicKey = csr === undefined ? undefined : await readRequest(csr);
  const secret = secretFile === undefined ? makeSecret() : readSecret(secretFile);
  const [device] = await enrol([{
    line: undefined,
    deviceId,
    secret,
    ...(validDays !== undefined && { validDays }),
    ...(publicKey !== undefined && { publicKey }),
    ...(keyType !== undefined && { keyType }),
    ...(pem && { onePem: true }),
  }], options);
  if (options.json) return printJson(device);
  print(`Added ${deviceId}: ${device!.bundle} goes onto the device`);
}

/** Registers every device of a CSV or JSON Lines file, or none. */
export async function importDevices(file: string, options: EnrolOptions): Promise<void> {
  const read = readDeviceLines(readFile(file, readOperatorText));
  const faults = [...read.faults];
  const wanted: Wanted[] = [];
  for (const line of read.lines) {
    const order = await orderOf(line, { ...options, folder: dirname(resolve(file)) });
    wanted.push(order.wanted);
    if (order.fault !== undefined) faults.push({ line: line.line, fault: order.fault });
  }
  if (wanted.length + faults.length === 0) {
    throw new CommandError(`There is no device in "${file}"`);
  }
  const devices = await enrol(wanted, options, faults);
  if (options.json) return printJson(devices);
  print(
    `Added ${counted(wanted.length, "device")}: ${
      layoutOf(options).devicesFolder
    } has the folders for them`,
  );
}

/** Enrols all devices, or none and reports every fault, with those that are known already. */
async function enrol(
  wanted: readonly Wanted[],
  options: SiteOption,
  known: readonly LineFault[] = [],
): Promise<readonly AddedDevice[]> {
  const layout = layoutOf(options);
  const config = configOf(layout);
  const site = { layout, config, nowMs: Date.now() };
  const requests = wanted.map(({ line: _, ...request }) => request);
  const lines = wanted.map(({ line }) => line);
  if (known.length > 0) {
    const found = await withSecrets(
      config,
      ({ registry }) => checkEnrolment(requests, { ...site, registry }),
    );
    throw manyFaults(faultsByLine(known, found, lines));
  }
  const bar = showProgress("Making certificates", wanted.length);
  const result = await withSecrets(config, (store) => {
    const progress = (done: number) => bar.to(done);
    return addDevices(store, site, { requests, progress });
  }).finally(() => bar.end());
  if (result.ok) return result.devices;
  throw enrolmentError(result.faults, lines.map(lineName));
}

/** What a line asks for, and what is wrong with its request. */
async function orderOf(
  line: DeviceLine,
  options: EnrolOptions & { folder: string },
): Promise<{ wanted: Wanted; fault?: string }> {
  const { deviceId, secret = makeSecret(), validDays = options.validDays, csr } = line;
  const wanted = {
    line: line.line,
    deviceId,
    secret,
    ...(validDays !== undefined && { validDays }),
    ...(options.keyType !== undefined && { keyType: options.keyType }),
    ...(options.pem && { onePem: true }),
  };
  if (csr === undefined) return { wanted };
  try {
    return { wanted: { ...wanted, publicKey: await readRequest(resolve(options.folder, csr)) } };
  } catch (error) {
    if (error instanceof CommandError) return { wanted, fault: error.message };
    throw error;
  }
}
