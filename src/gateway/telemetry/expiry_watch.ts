/**
 * Warns of certificates and revocation lists before they expire: an expired list refuses every
 * device, an expired certificate its owner.
 */

import type { Config } from "../../config/config.ts";
import { DAY_SECONDS } from "../../core/time.ts";
import { earliestEnd, WARN_DAYS } from "../../config/expiry.ts";
import type { Clock } from "../../time/clock.ts";
import type { Emit } from "../../core/event.ts";
import { readOperatorFile } from "../../config/operator_file.ts";

/** An hour too late does no harm, and a file that was replaced is seen within one. */
const CHECK_EVERY_MS = 3_600_000;

/** A device and the end of its newest certificate, Unix seconds. */
interface DeviceExpiry {
  readonly deviceId: string;
  readonly notAfter: number;
}

/** What the watch works with. */
interface ExpiryParts {
  readonly clock: Clock;
  readonly emit: Emit;
  /** Paths of PEM files: certificates and revocation lists. */
  readonly files: readonly string[];
  /** Active devices whose certificates are known. */
  readonly devices: { certificateEnds(): Promise<readonly DeviceExpiry[]> };
}

/** Looks at once, then every hour; says the same thing once a day. */
export class ExpiryWatch {
  readonly #parts: ExpiryParts;
  /** Earliest end in each file, Unix seconds, as it was when it was last looked at. */
  readonly fileEnds = new Map<string, number>();
  readonly #said = new Map<string, number>();
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(parts: ExpiryParts) {
    this.#parts = parts;
    this.look();
    this.#timer = setInterval(() => this.look(), CHECK_EVERY_MS);
  }

  /** Ends the watch. */
  close(): void {
    clearInterval(this.#timer);
  }

  /** Looks now. */
  async look(): Promise<void> {
    for (const path of new Set(this.#parts.files)) this.#lookAtFile(path);
    await this.#lookAtDevices();
  }

  #lookAtFile(path: string): void {
    try {
      const seconds = earliestEnd(readOperatorFile(path));
      if (seconds === undefined) return;
      this.fileEnds.set(path, seconds);
      this.#parts.emit({ kind: "file_expiry", path, endSeconds: seconds });
      const left = this.#daysLeft(seconds);
      if (left > WARN_DAYS) return;
      const expired = left < 0;
      this.#say(path, `"${path}" ${expired ? "has expired" : `expires in ${left} days`}`, expired);
    } catch (error) {
      const reason = (error as Error).message;
      this.#say(path, `Cannot see when "${path}" expires: ${reason}`, false);
    }
  }

  async #lookAtDevices(): Promise<void> {
    let ending: DeviceExpiry[];
    try {
      ending = (await this.#parts.devices.certificateEnds()).filter(({ notAfter }) =>
        this.#daysLeft(notAfter) <= WARN_DAYS
      );
    } catch {
      return; // a store that fails is told of elsewhere
    }
    this.#parts.emit({ kind: "devices_expiring", count: ending.length });
    const [first] = ending;
    if (first === undefined) return;
    const others = ending.length > 1 ? ` and ${ending.length - 1} more` : "";
    const message = `The certificates of ${first.deviceId}${others} expire within ${WARN_DAYS} ` +
      "days, or have expired: see device list";
    this.#say("devices", message, false);
  }

  #daysLeft(seconds: number): number {
    return Math.floor((seconds - this.#parts.clock.wallMs() / 1000) / DAY_SECONDS);
  }

  #say(subject: string, what: string, expired: boolean): void {
    const nowMs = this.#parts.clock.monotonicMs();
    const before = this.#said.get(subject);
    if (before !== undefined && nowMs - before < DAY_SECONDS * 1000) return;
    this.#said.set(subject, nowMs);
    this.#parts.emit({ kind: "expires_soon", what, expired });
  }
}

/** The files of a site whose end is watched. */
export function watchedFiles({ broker, backend, api, devices }: Config): string[] {
  return [
    broker.ca,
    broker.certificate,
    ...(backend.ca === undefined ? [] : [backend.ca]),
    ...(backend.pair === undefined ? [] : [backend.pair.certificate]),
    api.certificate,
    devices.authority,
    devices.revocationList,
  ];
}
