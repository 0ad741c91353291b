/**
 * The whole examination of a site, check by check, in its order.
 *
 * The rules are:
 * - what needs something that is not there is skipped, and says what; nothing is tried twice;
 * - two doctors on one site would take each other's devices for remains: the second has to wait;
 * - what it adds to the registry it takes out, whatever happens, and so what an earlier run left.
 */

import { openStore } from "../store/open_store.ts";
import type { Store } from "../store/store.ts";
import { BROKER_CHECKS } from "./broker_checks.ts";
import { CERTIFICATE_CHECKS } from "./certificate_checks.ts";
import {
  type Check,
  type CheckOutcome,
  type CheckResult,
  messageOf,
  ok,
  perform,
  type Site,
  skipped,
  warning,
} from "./check.ts";
import { TestSession } from "./test_session.ts";
import { CERTIFICATE_ATTACKS, DOOR_ATTACKS, WELCOME_CHECK } from "./connect_attacks.ts";
import {
  closedListener,
  findListeners,
  type Listeners,
  type OwnListeners,
  ownListeners,
  TestDevices,
} from "./listeners.ts";
import { FILE_CHECKS } from "./file_checks.ts";
import { BACKEND_CHECK, GATEWAY_CHECK } from "./gateway_checks.ts";
import { DELIVERY_CHECKS, MESSAGE_ATTACKS, SPY_CHECK } from "./message_attacks.ts";
import { STORE_CHECK, STORE_CHECKS } from "./store_checks.ts";
import { TOPIC_ATTACKS } from "./topic_attacks.ts";

/** What is left out. */
export interface DoctorOptions {
  /** Only what can be observed while nothing runs. */
  readonly offline?: boolean;
  /** No message to the backend. */
  readonly silent?: boolean;
}

const UNSOUND = "the store is not as it should be";
const REMAINS = { name: "earlier runs", look: removeRemains };

/** Every check there is, in the order in which they are made. */
export const ALL_CHECKS: readonly Pick<CheckResult, "name">[] = [
  ...[...FILE_CHECKS, ...CERTIFICATE_CHECKS, ...BROKER_CHECKS],
  ...[STORE_CHECK, REMAINS, ...STORE_CHECKS],
  ...[...DOOR_ATTACKS, WELCOME_CHECK, ...CERTIFICATE_ATTACKS, ...TOPIC_ATTACKS],
  ...[GATEWAY_CHECK, ...MESSAGE_ATTACKS, BACKEND_CHECK, ...DELIVERY_CHECKS, SPY_CHECK],
];

/** True where all was observed, and nothing has to be mended. */
export function isHealthy(findings: readonly CheckResult[]): boolean {
  return findings.every(({ status, asked }) =>
    status !== "failed" && (status !== "skipped" || asked === true)
  );
}

/** One examination. */
export class DoctorRun {
  readonly #site: Site;
  readonly #options: DoctorOptions;
  readonly #report: (finding: CheckResult) => void;
  readonly #lock: Deno.FsFile;
  #store: Store | undefined;
  #guests: TestDevices | undefined;
  #enrolled: string | undefined;
  #closed = false;

  /** Throws where another examination is under way. */
  constructor(site: Site, options: DoctorOptions, report: (finding: CheckResult) => void) {
    this.#site = site;
    this.#options = options;
    this.#report = report;
    this.#lock = Deno.openSync(site.layout.directory);
    if (this.#lock.tryLockSync(true)) return;
    this.#lock.close();
    throw new Error(`Another doctor is at work in "${site.layout.directory}"`);
  }

  /** Makes every check, and reports each as it comes; call `close` afterwards, or at any time. */
  async run(): Promise<void> {
    await this.#each([...FILE_CHECKS, ...CERTIFICATE_CHECKS, ...BROKER_CHECKS], this.#site);
    const [store] = await this.#each([STORE_CHECK], this.#site);
    if (store!.status === "ok") {
      this.#store = await openStore(this.#site.config.store, { author: "command" });
    }
    await this.#each([REMAINS], this.#store ?? UNSOUND);
    await this.#each(STORE_CHECKS, this.#store ? { ...this.#site, store: this.#store } : UNSOUND);
    if (this.#options.offline) this.#skip(LIVE, asked("--offline"));
    else await this.#attackGateway(await this.#attackBroker());
  }

  /** Takes everything back that is not gone yet. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    try {
      if (this.#enrolled !== undefined) await this.#store?.temporaryDevices.remove(this.#enrolled);
    } finally {
      await this.#guests?.close();
      await this.#store?.close();
      this.#lock.close();
    }
  }

  /** Guests, where the broker lets them in; otherwise why not. */
  async #attackBroker(): Promise<TestDevices | string> {
    const doors = await this.#openDoors();
    await this.#each(DOOR_ATTACKS, doors);
    const own = typeof doors === "string" ? doors : await ownListeners(doors);
    const [welcome] = await this.#each([WELCOME_CHECK], own);
    await this.#each(CERTIFICATE_ATTACKS, own);
    const guests = this.#invite(own, welcome!);
    await this.#each(TOPIC_ATTACKS, guests);
    return guests;
  }

  #invite(doors: OwnListeners | string, welcome: CheckResult): TestDevices | string {
    if (typeof doors === "string") return doors;
    if (welcome.status !== "ok") return "the broker lets no device in";
    return this.#guests = new TestDevices(doors);
  }

  async #openDoors(): Promise<Listeners | string> {
    try {
      const doors = await findListeners(this.#site);
      return await closedListener(doors.devices) ?? await closedListener(doors.gateway) ?? doors;
    } catch (error) {
      return messageOf(error);
    }
  }

  async #attackGateway(guests: TestDevices | string): Promise<void> {
    const [gateway] = await this.#each([GATEWAY_CHECK], this.#site);
    const conversation = gateway!.status === "skipped"
      ? gateway!.observed
      : await this.#converse(guests);
    await this.#each(MESSAGE_ATTACKS, conversation);
    const [backend] = await this.#each([BACKEND_CHECK], this.#site);
    const reachable = backend!.status === "ok" ? conversation : "the backend cannot be reached";
    if (this.#options.silent) this.#skip(DELIVERY_CHECKS, asked("--no-message"));
    else await this.#each(DELIVERY_CHECKS, reachable);
    await this.#each([SPY_CHECK], conversation);
  }

  async #converse(guests: TestDevices | string): Promise<TestSession | string> {
    if (typeof guests === "string") return guests;
    if (this.#store === undefined) return UNSOUND;
    try {
      return await TestSession.begin(this.#store, guests, (deviceId) => {
        if (this.#closed) throw new Error("the examination is over");
        this.#enrolled = deviceId;
      });
    } catch (error) {
      return `no device can be registered: ${messageOf(error)}`;
    }
  }

  /** Makes checks of a subject one after the other, or skips them where there is none, and says why. */
  async #each<T extends object>(
    checks: readonly Check<T>[],
    subject: T | string,
  ): Promise<CheckResult[]> {
    if (typeof subject === "string") return this.#skip(checks, skipped(subject));
    const findings: CheckResult[] = [];
    for (const check of checks) findings.push(this.#tell(await perform(check, subject)));
    return findings;
  }

  #skip(checks: readonly Pick<CheckResult, "name">[], outcome: CheckOutcome): CheckResult[] {
    return checks.map(({ name }) => this.#tell({ name, ...outcome }));
  }

  #tell(finding: CheckResult): CheckResult {
    if (!this.#closed) this.#report(finding);
    return finding;
  }
}

/** Those that need something that runs. */
const LIVE = ALL_CHECKS.slice(ALL_CHECKS.indexOf(DOOR_ATTACKS[0]!));

function asked(option: string): CheckOutcome {
  return { ...skipped(option), asked: true };
}

async function removeRemains({ temporaryDevices }: Store): Promise<CheckOutcome> {
  const found = await temporaryDevices.list();
  for (const deviceId of found) await temporaryDevices.remove(deviceId);
  if (found.length === 0) return ok("nothing is left of them");
  return warning(`removed ${found.join(", ")}`, "Nothing more to do: an earlier run was killed");
}
