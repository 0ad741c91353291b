/**
 * All checks of a site, one after the other, in their order.
 *
 * The rules are:
 * - a check whose precondition is missing is skipped and says why; nothing is tried twice;
 * - two doctors on one site would remove each other's devices, so the second does not start;
 * - it removes the devices that it registers, also those that a killed run has left.
 */

import { faultText } from "../core/fault_text.ts";
import { lockNow } from "../site/site_lock.ts";
import { openStore } from "../store/open_store.ts";
import { storePlaceIn } from "../store/store_place.ts";
import type { Store } from "../store/store.ts";
import { BROKER_CHECKS } from "./broker_checks.ts";
import { CERTIFICATE_CHECKS } from "./certificate_checks.ts";
import { COMMAND_CHECK } from "./command_check.ts";
import {
  type Check,
  type CheckOutcome,
  type CheckResult,
  pass,
  perform,
  type Site,
  skip,
  warn,
} from "./check.ts";
import { TestSession } from "./test_session.ts";
import { ACCEPTANCE_CHECK, CERTIFICATE_ATTACKS, CONNECT_ATTACKS } from "./connect_attacks.ts";
import {
  closedListener,
  findListeners,
  type Listeners,
  type OwnListeners,
  ownListeners,
  TestDevices,
} from "./listeners.ts";
import { FILE_CHECKS } from "./file_checks.ts";
import {
  ANSWER_CHECK,
  BACKEND_CHECK,
  type BackendSite,
  NAMES_CHECK,
  OTHER_CLOCKS_CHECK,
} from "./backend_checks.ts";
import { GATEWAY_CHECK } from "./gateway_checks.ts";
import { DELIVERY_CHECKS, MESSAGE_ATTACKS, SHARED_SUBSCRIPTION_CHECK } from "./message_attacks.ts";
import { SERVER_CHECKS } from "./server_checks.ts";
import { STORE_CHECK, STORE_CHECKS } from "./store_checks.ts";
import { TOPIC_ATTACKS } from "./topic_attacks.ts";

/** What is left out. */
export interface DoctorOptions {
  /** Only what can be observed while nothing runs. */
  readonly offline?: boolean;
  /** No message to the backend. */
  readonly silent?: boolean;
}

const UNSOUND = "the store check did not pass";
const LEFTOVERS = { name: "earlier runs", look: removeLeftovers };

/** Every check there is, in the order in which they are made. */
export const ALL_CHECKS: readonly Pick<CheckResult, "name">[] = [
  ...[...FILE_CHECKS, ...CERTIFICATE_CHECKS, ...BROKER_CHECKS],
  ...[STORE_CHECK, LEFTOVERS, ...STORE_CHECKS, ...SERVER_CHECKS],
  ...[...CONNECT_ATTACKS, ACCEPTANCE_CHECK, ...CERTIFICATE_ATTACKS, ...TOPIC_ATTACKS],
  ...[
    GATEWAY_CHECK,
    ...MESSAGE_ATTACKS,
    COMMAND_CHECK,
    NAMES_CHECK,
    BACKEND_CHECK,
    ANSWER_CHECK,
    OTHER_CLOCKS_CHECK,
    ...DELIVERY_CHECKS,
    SHARED_SUBSCRIPTION_CHECK,
  ],
];

/** True if every check was made, or left out on request, and none failed. */
export function isHealthy(results: readonly CheckResult[]): boolean {
  return results.every(({ status, asked }) =>
    status !== "fail" && (status !== "skip" || asked === true)
  );
}

/** One run of the checks. */
export class DoctorRun {
  readonly #site: Site;
  readonly #options: DoctorOptions;
  readonly #report: (result: CheckResult) => void;
  readonly #lock: Deno.FsFile;
  #store: Store | undefined;
  #devices: TestDevices | undefined;
  #registered: string | undefined;
  #closed = false;

  /** Throws if another run is under way. */
  constructor(site: Site, options: DoctorOptions, report: (result: CheckResult) => void) {
    this.#site = site;
    this.#options = options;
    this.#report = report;
    this.#lock = lockNow(site.layout, "doctor");
  }

  /** Makes every check, and reports each as it comes; call `close` afterwards, or at any time. */
  async run(): Promise<void> {
    await this.#each([...FILE_CHECKS, ...CERTIFICATE_CHECKS, ...BROKER_CHECKS], this.#site);
    const [store] = await this.#each([STORE_CHECK], this.#site);
    if (store!.status === "pass") {
      this.#store = await openStore(storePlaceIn(this.#site.config), { author: "command" });
    }
    await this.#each([LEFTOVERS], this.#store ?? UNSOUND);
    const site = this.#store ? { ...this.#site, store: this.#store } : UNSOUND;
    await this.#each([...STORE_CHECKS, ...SERVER_CHECKS], site);
    if (this.#options.offline) this.#skip(LIVE, asked("--offline"));
    else await this.#attackGateway(await this.#attackBroker());
  }

  /** Removes what the run has registered, and closes everything. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    try {
      if (this.#registered !== undefined) {
        await this.#store?.temporaryDevices.remove(this.#registered);
      }
    } finally {
      await this.#devices?.close();
      await this.#store?.close();
      this.#lock.close();
    }
  }

  /** Test devices, if the broker accepts them; otherwise why not. */
  async #attackBroker(): Promise<TestDevices | string> {
    const listeners = await this.#findListeners();
    await this.#each(CONNECT_ATTACKS, listeners);
    const own = typeof listeners === "string" ? listeners : await ownListeners(listeners);
    const [acceptance] = await this.#each([ACCEPTANCE_CHECK], own);
    await this.#each(CERTIFICATE_ATTACKS, own);
    const devices = this.#testDevices(own, acceptance!);
    await this.#each(TOPIC_ATTACKS, devices);
    return devices;
  }

  #testDevices(listeners: OwnListeners | string, acceptance: CheckResult): TestDevices | string {
    if (typeof listeners === "string") return listeners;
    if (acceptance.status !== "pass") return "the broker accepts no device";
    return this.#devices = new TestDevices(listeners);
  }

  async #findListeners(): Promise<Listeners | string> {
    try {
      const listeners = await findListeners(this.#site);
      const closed = await closedListener(listeners.devices) ??
        await closedListener(listeners.gateway);
      const start = `mosquitto -c ${this.#site.layout.brokerConfiguration}`;
      return closed === undefined ? listeners : `${closed}; to start it: ${start}`;
    } catch (error) {
      return faultText(error);
    }
  }

  async #attackGateway(devices: TestDevices | string): Promise<void> {
    const [gateway] = await this.#each([GATEWAY_CHECK], this.#site);
    const session = gateway!.status === "skip"
      ? gateway!.observed
      : await this.#beginSession(devices);
    await this.#each(MESSAGE_ATTACKS, session);
    // With a callback, the backend hears of each of its states.
    const isHeard = this.#site.config.commands.callbackPath !== undefined;
    if (isHeard && this.#options.silent) this.#skip([COMMAND_CHECK], asked("--no-message"));
    else await this.#each([COMMAND_CHECK], session);
    const faults = await this.#askBackend();
    if (this.#options.silent) this.#skip(DELIVERY_CHECKS, asked("--no-message"));
    else await this.#each(DELIVERY_CHECKS, faults ?? session);
    await this.#each([SHARED_SUBSCRIPTION_CHECK], session);
  }

  /** Why no message can be delivered; undefined if one can. */
  async #askBackend(): Promise<string | undefined> {
    const site: BackendSite = { ...this.#site };
    const [, backend] = await this.#each([NAMES_CHECK, BACKEND_CHECK], site);
    const away = backend!.status === "pass" ? undefined : "the backend cannot be reached";
    if (this.#options.silent) {
      this.#skip([ANSWER_CHECK, OTHER_CLOCKS_CHECK], asked("--no-message"));
      return away;
    }
    const [answer] = await this.#each([ANSWER_CHECK], away ?? site);
    await this.#each([OTHER_CLOCKS_CHECK], site);
    return away ??
      (answer!.status === "fail" ? `the backend takes no reading: ${answer!.observed}` : undefined);
  }

  async #beginSession(devices: TestDevices | string): Promise<TestSession | string> {
    if (typeof devices === "string") return devices;
    if (this.#store === undefined) return UNSOUND;
    try {
      return await TestSession.begin(this.#store, devices, (deviceId) => {
        if (this.#closed) throw new Error("the run is over");
        this.#registered = deviceId;
      });
    } catch (error) {
      return `no device can be registered: ${faultText(error)}`;
    }
  }

  /** Makes checks of a subject one after the other, or skips them if there is none, and says why. */
  async #each<T extends object>(
    checks: readonly Check<T>[],
    subject: T | string,
  ): Promise<CheckResult[]> {
    if (typeof subject === "string") return this.#skip(checks, skip(subject));
    const results: CheckResult[] = [];
    for (const check of checks) results.push(this.#tell(await perform(check, subject)));
    return results;
  }

  #skip(checks: readonly Pick<CheckResult, "name">[], outcome: CheckOutcome): CheckResult[] {
    return checks.map(({ name }) => this.#tell({ name, ...outcome }));
  }

  #tell(result: CheckResult): CheckResult {
    if (!this.#closed) this.#report(result);
    return result;
  }
}

/** Those that need something that runs. */
const LIVE = ALL_CHECKS.slice(ALL_CHECKS.indexOf(CONNECT_ATTACKS[0]!));

function asked(option: string): CheckOutcome {
  return { ...skip(option), asked: true };
}

async function removeLeftovers({ temporaryDevices }: Store): Promise<CheckOutcome> {
  const found = await temporaryDevices.list();
  for (const deviceId of found) await temporaryDevices.remove(deviceId);
  if (found.length === 0) return pass("none has left a device behind");
  return warn(
    `removed ${found.join(", ")}`,
    "Nothing to do: an earlier doctor was killed, and its devices are removed now",
  );
}
