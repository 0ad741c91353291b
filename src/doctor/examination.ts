/**
 * The whole examination of a site, check by check, in its order.
 *
 * The rules are:
 * - what needs something that is not there is skipped, and says what; nothing is tried twice;
 * - two doctors on one site would take each other's devices for remains: the second has to wait;
 * - what it adds to the registry it takes out, whatever happens, and so what an earlier run left.
 */

import { Store } from "../edge/store.ts";
import { BROKER_CHECKS } from "./broker_checks.ts";
import { CERTIFICATE_CHECKS } from "./certificate_checks.ts";
import {
  type Check,
  type Finding,
  messageOf,
  ok,
  type Outcome,
  perform,
  type Site,
  skipped,
  warning,
} from "./check.ts";
import { Conversation } from "./conversation.ts";
import { CERTIFICATE_ATTACKS, DOOR_ATTACKS, WELCOME_CHECK } from "./door_attacks.ts";
import { closedDoor, type Doors, findDoors, Guests, ownDoors } from "./doors.ts";
import { FILE_CHECKS } from "./file_checks.ts";
import { BACKEND_CHECK, GATEWAY_CHECK } from "./gateway_checks.ts";
import { DELIVERY_CHECKS, MESSAGE_ATTACKS, SPY_CHECK } from "./message_attacks.ts";
import { STORE_CHECK, STORE_CHECKS } from "./store_checks.ts";
import { removeTraces, tracesIn } from "./throw_away.ts";
import { TOPIC_ATTACKS } from "./topic_attacks.ts";

/** What is left out. */
export interface ExaminationOptions {
  /** Only what can be seen while nothing runs. */
  readonly offline?: boolean;
  /** No message to the backend. */
  readonly silent?: boolean;
}

const UNWELCOME = "the broker lets no device in";
const UNSOUND = "the store is not as it should be";
const REMAINS = { name: "earlier runs", look: removeRemains };

/** Every check there is, in the order in which they are made. */
export const ALL_CHECKS: readonly Pick<Finding, "name">[] = [
  ...[...FILE_CHECKS, ...CERTIFICATE_CHECKS, ...BROKER_CHECKS],
  ...[STORE_CHECK, REMAINS, ...STORE_CHECKS],
  ...[...DOOR_ATTACKS, WELCOME_CHECK, ...CERTIFICATE_ATTACKS, ...TOPIC_ATTACKS],
  ...[GATEWAY_CHECK, ...MESSAGE_ATTACKS, BACKEND_CHECK, ...DELIVERY_CHECKS, SPY_CHECK],
];

/** True where all was seen, and nothing has to be mended. */
export function isHealthy(findings: readonly Finding[]): boolean {
  return findings.every(({ verdict, asked }) =>
    verdict !== "failed" && (verdict !== "skipped" || asked === true)
  );
}

/** One examination. */
export class Examination {
  readonly #site: Site;
  readonly #options: ExaminationOptions;
  readonly #report: (finding: Finding) => void;
  readonly #lock: Deno.FsFile;
  #store: Store | undefined;
  #guests: Guests | undefined;
  #enrolled: string | undefined;
  #closed = false;

  /** Throws where another examination is under way. */
  constructor(site: Site, options: ExaminationOptions, report: (finding: Finding) => void) {
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
    const sound = (await this.#one(STORE_CHECK, this.#site)).verdict === "ok";
    if (sound) this.#store = new Store(this.#site.config.store.database);
    if (this.#store) {
      await this.#one(REMAINS, this.#store);
      await this.#each(STORE_CHECKS, this.#site);
    } else this.#skip([REMAINS, ...STORE_CHECKS], skipped(UNSOUND));
    if (this.#options.offline) return this.#skip(LIVE, asked("--offline"));
    const guests = await this.#attackBroker();
    await this.#attackGateway(guests);
  }

  /** Takes everything back that is not gone yet. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    try {
      if (this.#store && this.#enrolled !== undefined) removeTraces(this.#store, this.#enrolled);
    } finally {
      await this.#guests?.close();
      this.#store?.close();
      this.#lock.close();
    }
  }

  /** Guests, where the broker lets them in; otherwise why not. */
  async #attackBroker(): Promise<Guests | string> {
    const doors = await this.#openDoors();
    if (typeof doors === "string") this.#skip(DOOR_ATTACKS, skipped(doors));
    else await this.#each(DOOR_ATTACKS, doors);
    const own = typeof doors === "string" ? doors : await ownDoors(doors);
    if (typeof own === "string") {
      this.#skip([WELCOME_CHECK, ...CERTIFICATE_ATTACKS, ...TOPIC_ATTACKS], skipped(own));
      return own;
    }
    const welcome = await this.#one(WELCOME_CHECK, own);
    await this.#each(CERTIFICATE_ATTACKS, own);
    if (welcome.verdict !== "ok") {
      this.#skip(TOPIC_ATTACKS, skipped(UNWELCOME));
      return UNWELCOME;
    }
    this.#guests = new Guests(own);
    await this.#each(TOPIC_ATTACKS, this.#guests);
    return this.#guests;
  }

  async #openDoors(): Promise<Doors | string> {
    try {
      const doors = await findDoors(this.#site);
      return await closedDoor(doors.devices) ?? await closedDoor(doors.gateway) ?? doors;
    } catch (error) {
      return messageOf(error);
    }
  }

  async #attackGateway(guests: Guests | string): Promise<void> {
    const gateway = await this.#one(GATEWAY_CHECK, this.#site);
    const running = gateway.verdict === "skipped" ? gateway.seen : undefined;
    const store = this.#store ? undefined : UNSOUND;
    const missing = running ?? (typeof guests === "string" ? guests : undefined) ?? store;
    const conversation = missing ?? await this.#converse(guests as Guests);
    const wordless = typeof conversation === "string";
    if (wordless) this.#skip(MESSAGE_ATTACKS, skipped(conversation));
    else await this.#each(MESSAGE_ATTACKS, conversation);
    const backend = await this.#one(BACKEND_CHECK, this.#site);
    if (this.#options.silent) this.#skip(DELIVERY_CHECKS, asked("--no-message"));
    else if (wordless) this.#skip(DELIVERY_CHECKS, skipped(conversation));
    else if (backend.verdict === "failed") {
      this.#skip(DELIVERY_CHECKS, skipped("the backend cannot be reached"));
    } else await this.#each(DELIVERY_CHECKS, conversation);
    if (wordless) this.#skip([SPY_CHECK], skipped(conversation));
    else await this.#one(SPY_CHECK, conversation);
  }

  async #converse(guests: Guests): Promise<Conversation | string> {
    try {
      return await Conversation.begin(this.#store!, guests, (deviceId) => {
        if (this.#closed) throw new Error("the examination is over");
        this.#enrolled = deviceId;
      });
    } catch (error) {
      return `no device can be registered: ${messageOf(error)}`;
    }
  }

  async #each<T>(checks: readonly Check<T>[], subject: T): Promise<void> {
    for (const check of checks) await this.#one(check, subject);
  }

  async #one<T>(check: Check<T>, subject: T): Promise<Finding> {
    const finding = await perform(check, subject);
    if (!this.#closed) this.#report(finding);
    return finding;
  }

  #skip(checks: readonly Pick<Finding, "name">[], outcome: Outcome): void {
    for (const { name } of checks) this.#report({ name, ...outcome });
  }
}

/** Those that need something that runs. */
const LIVE = ALL_CHECKS.slice(ALL_CHECKS.indexOf(DOOR_ATTACKS[0]!));

function asked(option: string): Outcome {
  return { ...skipped(option), asked: true };
}

function removeRemains(store: Store): Outcome {
  const found = tracesIn(store);
  for (const deviceId of found) removeTraces(store, deviceId);
  if (found.length === 0) return ok("nothing is left of them");
  return warning(`removed ${found.join(", ")}`, "Nothing more to do: an earlier run was killed");
}
