/** A registered device of the doctor's that talks to the gateway, and what the gateway says of it. */

import type { AuditEntry, AuditStore } from "../store/audit.ts";
import type { DeviceClient, SignedMessage } from "../client/device_client.ts";
import { poll } from "../time/poll.ts";
import type { Store } from "../store/store.ts";
import type { Site } from "./check.ts";
import type { TestDevices } from "./listeners.ts";

/** Everybody's clock may step while we talk. */
const CLOCK_SLACK_SECONDS = 60;

/** A group of its own, on the topics of all devices. */
const SPYING_FILTER = "$share/doctor/device/+/data";

/** One conversation; `end` takes back what it needed. */
export class TestSession {
  readonly site: Site;
  readonly device: DeviceClient;
  /** Hears what it can of everything said, in the way that takes messages from others. */
  readonly spy: DeviceClient;
  /** The one message that is good, once it was sent. */
  accepted: SignedMessage | undefined;
  /** Messages that the gateway was observed to have had. */
  arrived = 0;
  readonly #audit: AuditStore;
  #lastSequence: number;

  private constructor(
    site: Site,
    audit: { readonly store: AuditStore; readonly lastSequence: number },
    guests: { readonly device: DeviceClient; readonly spy: DeviceClient },
  ) {
    this.site = site;
    this.device = guests.device;
    this.spy = guests.spy;
    this.#audit = audit.store;
    this.#lastSequence = audit.lastSequence;
  }

  /** Registers a device and connects it; `began` is told its id before anything is written. */
  static async begin(
    store: Store,
    guests: TestDevices,
    began: (deviceId: string) => void,
  ): Promise<TestSession> {
    const { site } = guests.doors;
    const identity = await guests.identity();
    const spy = await guests.invite({ subscribe: [SPYING_FILTER] });
    began(identity.deviceId);
    const { deviceId, secret } = identity;
    const createdAt = Math.floor(site.nowMs / 1000);
    await store.registry.addAll([
      { deviceId, sharedSecret: secret, createdAt, certificate: identity },
    ]);
    try {
      const { sequence: lastSequence } = await store.audit.head();
      const device = await guests.seat(identity);
      return new TestSession(site, { store: store.audit, lastSequence }, { device, spy });
    } catch (error) {
      await store.temporaryDevices.remove(deviceId);
      throw error;
    }
  }

  /** What the gateway says of the device next, in the audit. */
  async nextWord(): Promise<AuditEntry> {
    const since = Math.floor(Date.now() / 1000) - CLOCK_SLACK_SECONDS;
    const isNews = ({ event, subject, sequence }: AuditEntry) =>
      event === "message_rejected" && subject === this.device.deviceId &&
      sequence > this.#lastSequence;
    const entry = await poll(
      "the gateway's word in the audit",
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
