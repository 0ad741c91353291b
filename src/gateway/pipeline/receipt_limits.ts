/**
 * How many receipts a device may bring about.
 *
 * The rules are:
 * - a device has a rate, whatever its receipts say; and one that no secret vouches for comes once in a
 *   while only;
 * - memory is bounded: a device whose limits are as if it had never had a receipt is forgotten, and
 *   while there is no room, a device that is not known here gets none.
 */

import type { RejectionCode } from "../../core/rejection.ts";
import { isUnverified } from "../../core/receipt.ts";
import { type Rate, refill, type TokenBucket } from "../../core/token_bucket.ts";

/** Most devices that are known here. */
const DEVICES_MAX = 16_384;

/** The settings. */
export interface ReceiptRates {
  readonly rate: Rate;
  /** Between two receipts of one device for the same code that no secret vouches for. */
  readonly unverifiedEveryMs: number;
}

/** What one device has had. */
interface Had {
  readonly bucket: TokenBucket;
  /** When it last had one for each unverified code; monotonic. */
  readonly unverifiedMs: ReadonlyMap<RejectionCode, number>;
}

/** The limits. Times are monotonic milliseconds. */
export class ReceiptLimits {
  readonly #rates: ReceiptRates;
  readonly #devicesMax: number;
  /** After so long nothing limits a device any more. */
  readonly #keptMs: number;
  /** Those that had one last are at the end. */
  readonly #devices = new Map<string, Had>();

  constructor(rates: ReceiptRates, devicesMax = DEVICES_MAX) {
    this.#rates = rates;
    this.#devicesMax = devicesMax;
    const { rate: { burst, perSecond }, unverifiedEveryMs } = rates;
    this.#keptMs = Math.max(1000 * burst / perSecond, unverifiedEveryMs);
  }

  /** How many devices are known here. */
  get size(): number {
    return this.#devices.size;
  }

  /** True if the device may have a receipt for this code now; that is then its last one. */
  take(deviceId: string, code: RejectionCode, nowMs: number): boolean {
    this.#forget(nowMs);
    const had = this.#devices.get(deviceId);
    if (had === undefined && this.#devices.size >= this.#devicesMax) return false;
    const lastMs = had?.unverifiedMs.get(code) ?? -Infinity;
    if (isUnverified(code) && nowMs - lastMs < this.#rates.unverifiedEveryMs) return false;
    const bucket = refill(had?.bucket, this.#rates.rate, nowMs);
    if (bucket.tokens < 1) return false;
    this.#devices.delete(deviceId);
    this.#devices.set(deviceId, {
      bucket: { ...bucket, tokens: bucket.tokens - 1 },
      unverifiedMs: isUnverified(code)
        ? new Map([...had?.unverifiedMs ?? [], [code, nowMs]])
        : had?.unverifiedMs ?? new Map(),
    });
    return true;
  }

  #forget(nowMs: number): void {
    for (const [deviceId, { bucket }] of this.#devices) {
      if (nowMs - bucket.atMs < this.#keptMs) return;
      this.#devices.delete(deviceId);
    }
  }
}
