/** `device list`. */

import { describeDevice } from "./device_description.ts";
import { configOf, layoutOf, type SiteOption, withStore } from "./open_site.ts";
import { print, printable } from "./terminal.ts";

/** What leaves room for the rest in a line of 80 characters. */
const DEVICE_WIDTH = 24;

/** Lists every device; never a secret. */
export async function listDevices(options: SiteOption & { readonly json?: true }): Promise<void> {
  const config = configOf(layoutOf(options));
  const devices = await withStore(config, ({ registry }) => registry.list());
  if (options.json) return print(JSON.stringify(devices.map(describeDevice), null, 2));
  print(row("DEVICE", "STATUS", "ADDED", "CERTIFICATE UNTIL"));
  for (const device of devices.map(describeDevice)) {
    const { device_id, status, created_at, certificate_not_after } = device;
    const id = printable(device_id);
    const isLong = id.length > DEVICE_WIDTH; // then it has a line of its own
    if (isLong) print(id);
    print(row(isLong ? "" : id, status, day(created_at), day(certificate_not_after)));
  }
}

function day(iso: string | null): string {
  return iso?.slice(0, 10) ?? "-";
}

function row(device: string, status: string, added: string, until: string): string {
  return `${device.padEnd(DEVICE_WIDTH)}  ${status.padEnd(8)}  ${added.padEnd(10)}  ${until}`;
}
