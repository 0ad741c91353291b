/** A registered device of the doctor's that sends to the gateway, and the gateway's rejections. */

import type { AuditEntry, AuditStore } from "../store/audit.ts";
import type { DeviceClient, SignedMessage } from "../client/device_client.ts";
import { poll } from "../time/poll.ts";
import type { Store } from "../store/store.ts";
import type { Site } from "./check.ts";
import type { TestDevices } from "./listeners.ts";
import { secondsOf } from "../core/time.ts";

/** Any clock may step during the session. */
const CLOCK_SLACK_SECONDS = 60;

/** A group of its own, on the topics of all devices. */
const EAVESDROPPER_FILTER = "$share/doctor/device/+/data";

/** One session of a device that is registered for it. */
export class TestSession {
  readonly site: Site;
  readonly device: DeviceClient;
  /** Receives what it can of other devices' messages, by a shared subscription. */
  readonly eavesdropper: DeviceClient;
  /** The one message that is good, once it was sent. */
  accepted: SignedMessage | undefined;
  /** Messages that the gateway was observed to have had. */
  arrived = 0;
  readonly #audit: AuditStore;
  #lastSequence: number;

  private constructor(
    site: Site,
    audit: { readonly store: AuditStore; readonly lastSequence: number },
    devices: { readonly device: DeviceClient; readonly eavesdropper: DeviceClient },
  ) {
    this.site = site;
    this.device = devices.device;
    this.eavesdropper = devices.eavesdropper;
    this.#audit = audit.store;
    this.#lastSequence = audit.lastSequence;
  }

  /** Registers a device and connects it; `began` is told its id before anything is written. */
  static async begin(
    store: Store,
    devices: TestDevices,
    began: (deviceId: string) => void,
  ): Promise<TestSession> {
    const { site } = devices.listeners;
    const identity = await devices.identity();
    const eavesdropper = await devices.connectNew({ subscribe: [EAVESDROPPER_FILTER] });
    began(identity.deviceId);
    const { deviceId, secret } = identity;
    const createdAt = secondsOf(site.nowMs);
    await store.registry.addAll([
      { deviceId, sharedSecret: secret, createdAt, certificate: identity },
    ]);
    try {
      const { sequence: lastSequence } = await store.audit.head();
      const device = await devices.connect(identity);
      return new TestSession(site, { store: store.audit, lastSequence }, { device, eavesdropper });
    } catch (error) {
      await store.temporaryDevices.remove(deviceId);
      throw error;
    }
  }

  /** The gateway's next rejection of a message of the device, from the audit log. */
  async nextRejection(): Promise<AuditEntry> {
    const since = secondsOf(Date.now()) - CLOCK_SLACK_SECONDS;
    const isNews = ({ event, subject, sequence }: AuditEntry) =>
      event === "message_rejected" && subject === this.device.deviceId &&
      sequence > this.#lastSequence;
    const entry = await poll(
      "the rejection in the audit log",
      () => firstOf(this.#audit.since(since), isNews),
    );
    this.#lastSequence = entry.sequence;
    this.arrived++;
    return entry;
  }
}

async function firstOf<T>(
  items: AsyncIterable<T>,
  isWanted: (item: T) => boolean,
): Promise<T | undefined> {
  for await (const item of items) if (isWanted(item)) return item;
  return undefined;
}
