/** A registered device of the doctor's that talks to the gateway, and what the gateway says of it. */

import type { DeviceClient, SignedMessage } from "../client/device_client.ts";
import { poll } from "../time/poll.ts";
import { AuditLog } from "../store/sqlite/audit_log.ts";
import type { AuditEntry } from "../store/sqlite/audit_chain.ts";
import { readSealingKeys } from "../store/sealing_keys.ts";
import type { Database } from "../store/sqlite/database.ts";
import type { Site } from "./check.ts";
import type { TestDevices } from "./listeners.ts";
import { addTemporaryDevice } from "./temporary_device.ts";
import { removeTraces } from "../store/sqlite/temporary_devices.ts";

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
  readonly #audit: AuditLog;
  #lastSequence: number;

  private constructor(
    site: Site,
    store: Database,
    guests: { readonly device: DeviceClient; readonly spy: DeviceClient },
  ) {
    this.site = site;
    this.device = guests.device;
    this.spy = guests.spy;
    this.#audit = new AuditLog(store);
    this.#lastSequence = store.audit.head().sequence;
  }

  /** Registers a device and connects it; `began` is told its id before anything is written. */
  static async begin(
    store: Database,
    guests: TestDevices,
    began: (deviceId: string) => void,
  ): Promise<TestSession> {
    const { site } = guests.doors;
    const identity = await guests.identity();
    const spy = await guests.invite({ subscribe: [SPYING_FILTER] });
    began(identity.deviceId);
    const { deviceId, secret } = identity;
    const sealingKeys = readSealingKeys(site.config.store.sealingKey);
    addTemporaryDevice(store, { deviceId, secret, certificate: identity }, {
      sealingKeys,
      nowMs: site.nowMs,
    });
    try {
      return new TestSession(site, store, { device: await guests.seat(identity), spy });
    } catch (error) {
      removeTraces(store, deviceId);
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
      () => Iterator.from(this.#audit.since(since)).find(isNews),
    );
    this.#lastSequence = entry.sequence;
    this.arrived++;
    return entry;
  }
}
