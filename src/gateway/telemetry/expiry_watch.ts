/**
 * Warns of certificates and revocation lists before they expire: an expired list refuses every
 * device, an expired certificate its owner.
 */

import { X509Certificate } from "node:crypto";
import { nextUpdateOf } from "../../core/revocation_list.ts";
import type { Clock } from "../../time/clock.ts";
import type { Log } from "../../log/log.ts";

/** How long ahead it warns, days. */
export const WARN_DAYS = 30;

const DAY_SECONDS = 86_400;
/** A wrong answer for an hour harms nobody, and a file that was replaced is seen within one. */
const CHECK_EVERY_MS = 3_600_000;
const PEM = /-----BEGIN (CERTIFICATE|X509 CRL|CRL)-----([^-]+)-----END/g;

/** A device and the end of its newest certificate, Unix seconds. */
export interface DeviceExpiry {
  readonly deviceId: string;
  readonly notAfter: number;
}

/** What the watch works with. */
export interface ExpiryParts {
  readonly clock: Clock;
  readonly log: Log;
  /** Paths of PEM files: certificates and revocation lists. */
  readonly files: readonly string[];
  /** Active devices whose certificates are known. */
  readonly devices: () => readonly DeviceExpiry[];
  /** Takes the earliest end of anything in a file, Unix seconds. */
  readonly fileEnds: (path: string, seconds: number) => void;
  /** Takes how many devices have a certificate that ends soon. */
  readonly devicesEnding: (count: number) => void;
}

/** Looks at once, then every hour; says the same thing once a day. */
export class ExpiryWatch {
  readonly #parts: ExpiryParts;
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
  look(): void {
    for (const path of new Set(this.#parts.files)) this.#lookAtFile(path);
    this.#lookAtDevices();
  }

  #lookAtFile(path: string): void {
    try {
      const seconds = earliestEnd(Deno.readTextFileSync(path));
      if (seconds === undefined) return;
      this.#parts.fileEnds(path, seconds);
      const left = this.#daysLeft(seconds);
      if (left > WARN_DAYS) return;
      const level = left < 0 ? "error" : "warning";
      this.#say(path, level, `"${path}" ${left < 0 ? "has expired" : `expires in ${left} days`}`);
    } catch (error) {
      this.#say(path, "warning", `Cannot see when "${path}" expires: ${(error as Error).message}`);
    }
  }

  #lookAtDevices(): void {
    let ending: DeviceExpiry[];
    try {
      ending = this.#parts.devices().filter(({ notAfter }) =>
        this.#daysLeft(notAfter) <= WARN_DAYS
      );
    } catch {
      return; // a store that fails is told of elsewhere
    }
    this.#parts.devicesEnding(ending.length);
    const [first] = ending;
    if (first === undefined) return;
    const others = ending.length > 1 ? ` and ${ending.length - 1} more` : "";
    const message = `The certificates of ${first.deviceId}${others} expire within ${WARN_DAYS} ` +
      "days, or have expired: see device list";
    this.#say("devices", "warning", message);
  }

  #daysLeft(seconds: number): number {
    return Math.floor((seconds - this.#parts.clock.wallMs() / 1000) / DAY_SECONDS);
  }

  #say(what: string, level: "warning" | "error", message: string): void {
    const nowMs = this.#parts.clock.monotonicMs();
    const before = this.#said.get(what);
    if (before !== undefined && nowMs - before < DAY_SECONDS * 1000) return;
    this.#said.set(what, nowMs);
    this.#parts.log(level, "expires_soon", { message });
  }
}

/** When the first thing in a PEM file ends, Unix seconds; undefined where nothing has an end. */
export function earliestEnd(pem: string): number | undefined {
  const ends = [...pem.matchAll(PEM)].map(([, label, base64]) => {
    const der = Uint8Array.fromBase64(base64!);
    return label === "CERTIFICATE"
      ? Math.floor(new X509Certificate(der).validToDate.getTime() / 1000)
      : nextUpdateOf(der);
  }).filter((end) => end !== undefined);
  return ends.length === 0 ? undefined : Math.min(...ends);
}
