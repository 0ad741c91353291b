/**
 * A backend that asks for commands all the time, repeats its requests whether it has to or not,
 * cancels some, and asks what became of them.
 */

import { setTimeout as pause } from "node:timers/promises";
import type { CommandState } from "../../src/core/command_life.ts";
import type { LiveSite } from "../support/live_site.ts";
import type { CommandAnswer, CommandReport, Wish } from "./command_checker.ts";
import type { Dice } from "./dice.ts";

/** Requests for commands that are under way at once; more would only wait for each other. */
const UNDER_WAY_MAX = 12;

/** Milliseconds between two wishes, two repetitions and two looks, at most. */
const WISH_MAX_MS = 60;
const REPEAT_MAX_MS = 300;
const LOOK_MAX_MS = 30;

/** A wish is repeated later at most so often. */
const LATER_MAX = 3;

const REQUEST_TIMEOUT_MS = 30_000;

/** Latest wishes that are looked at. */
const LOOKED_AT = 60;

/** A wish that grows. */
interface OpenWish extends Wish {
  readonly answers: CommandAnswer[];
  isCancelled: boolean;
}

/** What it asks. */
export interface AskerOptions {
  readonly deviceIds: readonly string[];
  readonly dice: Dice;
  /** Undefined: without a TTL. */
  readonly ttls: readonly (number | undefined)[];
}

/** The asker; it ends with `quiet`. */
export class CommandAsker {
  readonly wishes: OpenWish[] = [];
  readonly reports: CommandReport[] = [];
  readonly #site: LiveSite;
  readonly #options: AskerOptions;
  readonly #open = new Set<Promise<void>>();
  readonly #work: Promise<unknown>;
  #isAsking = true;
  #isLooking = true;

  constructor(site: LiveSite, options: AskerOptions) {
    this.#site = site;
    this.#options = options;
    this.#work = Promise.all([this.#ask(), this.#look()]);
  }

  /** Asks for nothing new; resolves when every wish has its answer. */
  async quiet(): Promise<void> {
    this.#isAsking = false;
    await Promise.all(this.#open);
  }

  /** Ends. */
  async close(): Promise<void> {
    this.#isLooking = false;
    await this.quiet();
    await this.#work;
  }

  async #ask(): Promise<void> {
    const { dice } = this.#options;
    while (this.#isAsking) {
      await pause(dice.below(WISH_MAX_MS));
      if (this.#open.size >= UNDER_WAY_MAX) continue;
      const wish = this.#wish();
      const work = this.#fulfil(wish).finally(() => this.#open.delete(work));
      this.#open.add(work);
    }
  }

  #wish(): OpenWish {
    const { dice, deviceIds, ttls } = this.#options;
    const wish = {
      ...{ n: this.wishes.length, deviceId: dice.pick(deviceIds), ttlSeconds: dice.pick(ttls) },
      ...{ hasKey: dice.below(5) > 0, answers: [], isCancelled: false },
    };
    this.wishes.push(wish);
    return wish;
  }

  async #fulfil(wish: OpenWish): Promise<void> {
    const { dice } = this.#options;
    let isDone = await this.#request(wish);
    while (wish.hasKey && !isDone) {
      await pause(dice.below(REPEAT_MAX_MS));
      isDone = await this.#request(wish);
    }
    const messageId = wish.answers.at(-1)?.messageId;
    if (messageId === undefined) return;
    if (dice.below(10) === 0) await this.#cancel(wish, messageId);
    const again = wish.hasKey ? dice.below(LATER_MAX) : 0;
    for (let i = 0; i < again; i++) {
      await pause(dice.below(REPEAT_MAX_MS));
      await this.#request(wish);
    }
  }

  /** One request; true if it was accepted, or if nobody can say more of it. */
  async #request(wish: OpenWish): Promise<boolean> {
    const { n, deviceId, ttlSeconds, hasKey } = wish;
    const response = await this.#api(`/command/${deviceId}`, {
      method: "POST",
      body: `{"n":${n}}`,
      headers: {
        ...(ttlSeconds !== undefined && { ttl: String(ttlSeconds) }),
        ...(hasKey && { "idempotency-key": `wish-${n}` }),
      },
    });
    if (response === undefined) return false;
    const answer = await answerOf(response);
    if (answer.problem !== "key-under-way") wish.answers.push(answer);
    return answer.messageId !== undefined;
  }

  async #cancel(wish: OpenWish, messageId: string): Promise<void> {
    wish.isCancelled = true;
    await this.#api(`/command/${wish.deviceId}/${messageId}`, { method: "DELETE" });
  }

  /** Asks what became of one of the latest. */
  async #look(): Promise<void> {
    const { dice } = this.#options;
    while (this.#isLooking) {
      await pause(dice.below(LOOK_MAX_MS));
      const latest = this.wishes.slice(-LOOKED_AT);
      const wish = latest.length > 0 ? dice.pick(latest) : undefined;
      const messageId = wish?.answers.at(-1)?.messageId;
      if (messageId === undefined) continue;
      const fromMs = performance.now();
      const response = await this.#api(`/command/${wish!.deviceId}/${messageId}`, {});
      if (response?.status !== 200) continue;
      const state: CommandState = (await response.json()).state;
      this.reports.push({ messageId, state, fromMs, untilMs: performance.now() });
    }
  }

  /** Undefined: the gateway is away, or has ended in between. */
  async #api(path: string, init: RequestInit): Promise<Response | undefined> {
    const signal = AbortSignal.timeout(REQUEST_TIMEOUT_MS);
    return await this.#site.api(path, { ...init, signal }).catch(() => undefined);
  }
}

async function answerOf(response: Response): Promise<CommandAnswer> {
  const { status } = response;
  const body = await response.json();
  if (status === 202) {
    const { message_id: messageId, timestamp, delivery } = body;
    return { status, messageId, timestamp, delivery };
  }
  const problem = String(body.type).split(":").at(-1)!;
  const messageId = response.headers.get("location")?.split("/").at(-1);
  return { status, problem, ...(messageId !== undefined && { messageId }) };
}
