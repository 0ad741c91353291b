/** What is said of a device that is not registered. */

import { CommandError } from "./terminal.ts";

/** The failure for an id that the registry does not have. */
export function unknownDevice(deviceId: string): CommandError {
  return new CommandError(`There is no device "${deviceId}"`, {
    hint: "See secure-iot-gateway device list",
  });
}
