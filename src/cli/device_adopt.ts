/** `device adopt`: the devices of an existing registry. */

import { counted } from "../core/counted.ts";
import { readExistingDevices } from "../store/open_store.ts";
import { adoptDevices as adopt } from "../site/operations/add_devices.ts";
import { enrolmentError } from "./enrolment_report.ts";
import { configOf, layoutOf, withSecrets } from "./open_site.ts";
import { type JsonOption, printJson } from "./json_output.ts";
import { systemFault } from "../config/system_fault.ts";
import { CommandError, print } from "./terminal.ts";

/** Registers every device of a database with a `devices` table, with its own secret, or none. */
export async function adoptDevices(
  file: string,
  options: JsonOption,
): Promise<void> {
  const layout = layoutOf(options);
  const config = configOf(layout);
  const devices = await readRegistry(file);
  const result = await withSecrets(config, ({ registry }) => adopt(registry, layout, devices));
  if (!result.ok) throw enrolmentError(result.faults, devices.map((_, i) => `row ${i + 1}`));
  const { adopted, present } = result;
  if (options.json) return printJson({ adopted, present });
  print(
    `Adopted ${counted(adopted, "device")}` +
      (present > 0 ? `; ${present} were registered already` : ""),
  );
  print(
    "They have no certificate yet, for each: secure-iot-gateway device rotate ID --certificate",
  );
}

/** The rows of an existing `devices` table. */
async function readRegistry(file: string) {
  try {
    return await readExistingDevices(file);
  } catch (error) {
    const { message } = error as Error;
    const isOfSystem = error instanceof Deno.errors.NotCapable;
    const reason = isOfSystem ? systemFault(error)?.reason ?? message : message;
    throw new CommandError(`Cannot read a registry from "${file}": ${reason}`, {
      hint: "It must be a SQLite file with the table devices(device_id, shared_secret, created_at)",
    });
  }
}
