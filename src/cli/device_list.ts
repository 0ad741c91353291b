/** `device list`. */

import type { RegisteredDevice } from "../store/device_record.ts";
import { durationMs, isDuration } from "../config/setting_types.ts";
import { describeDevice, isoOf, lastSeenTimes } from "./device_description.ts";
import { type JsonOption, printJson } from "./json_output.ts";
import { configOf, layoutOf, withStore } from "./open_site.ts";
import { CommandError, EXIT, note, print, printable } from "./terminal.ts";
import { secondsOf } from "../core/time.ts";

/** What `device list` may be told. */
interface ListOptions extends JsonOption {
  /** A duration: only devices that have not been seen for that long. */
  readonly silent?: string;
}

/** A running gateway records once a minute when a device was seen. */
const SILENT_LEAST_SECONDS = 120;

/** Lists every device, or those that are silent; never a secret. */
export async function listDevices(options: ListOptions): Promise<void> {
  const silentSeconds = options.silent === undefined ? undefined : silenceSecondsOf(options.silent);
  const nowSeconds = secondsOf(Date.now());
  const config = configOf(layoutOf(options));
  const { devices, seen, attended } = await withStore(config, async (store) => ({
    devices: await store.registry.list(),
    seen: lastSeenTimes(await store.registry.secretUses()),
    attended: silentSeconds === undefined ? nowSeconds : (await store.marks()).attendedSeconds,
  }));
  const since = silentSeconds === undefined ? undefined : nowSeconds - silentSeconds;
  const shown = devices
    .filter((device) => since === undefined || isSilent(device, seen.get(device.deviceId), since))
    .map((device) => describeDevice(device, seen.get(device.deviceId)));
  if (options.json) printJson(shown);
  else sayTable(shown);
  if (attended === undefined || attended < nowSeconds - SILENT_LEAST_SECONDS) {
    note(
      `note: the gateway is not taking messages: ${isoOf(attended) ?? "never"} was its last time`,
    );
  }
}

function silenceSecondsOf(silent: string): number {
  const seconds = isDuration(silent) ? durationMs(silent) / 1000 : 0;
  if (seconds >= SILENT_LEAST_SECONDS) return seconds;
  throw new CommandError(`Cannot use --silent "${silent}"`, {
    exit: EXIT.usage,
    hint:
      'Give a duration from "2m" on, such as "1h" or "7d": when a device was seen is recorded ' +
      "once a minute",
  });
}

/** A new device is not silent before it has been there that long. */
function isSilent(
  { createdAt, revokedAt }: RegisteredDevice,
  seenAt: number | undefined,
  since: number,
): boolean {
  return revokedAt === undefined && (seenAt ?? createdAt ?? 0) < since;
}

/** What leaves room for the rest in a line of 80 characters. */
const DEVICE_WIDTH = 20;

/** Within 80 columns, as long as device ids are short. */
function sayTable(devices: readonly ReturnType<typeof describeDevice>[]): void {
  print(row("DEVICE", "STATUS", "ADDED", "CERTIFICATE UNTIL", "LAST SEEN"));
  for (const { device_id, status, created_at, certificate_not_after, last_seen_at } of devices) {
    const seen = last_seen_at?.replace(/:\d\d\.\d+Z$/, "Z") ?? "-";
    const id = printable(device_id);
    const isLong = id.length > DEVICE_WIDTH; // then it has a line of its own
    if (isLong) print(id);
    print(row(isLong ? "" : id, status, day(created_at), day(certificate_not_after), seen));
  }
}

function day(iso: string | null): string {
  return iso?.slice(0, 10) ?? "-";
}

function row(...[device, status, added, until, seen]: [string, string, string, string, string]) {
  return `${device.padEnd(DEVICE_WIDTH)}  ${status.padEnd(8)}  ${added.padEnd(10)}  ${
    until.padEnd(17)
  }  ${seen}`;
}
