/**
 * `watch`: what happens now, beside a running gateway, until Ctrl+C.
 *
 * The rules are:
 * - it goes on over restarts of the gateway, and says when it cannot reach it;
 * - a payload is only shown if asked for; the likely mistake behind a rejection is found here, from
 *   the message and the site's secrets, for one message a second at most.
 */

import { setTimeout as pause } from "node:timers/promises";
import { answerOf, type ApiClient } from "../client/api_client.ts";
import { readEvents, type StreamEvent } from "../client/event_stream.ts";
import { isDeviceId } from "../core/device.ts";
import { faultText } from "../core/fault_text.ts";
import { wrapped } from "../core/line_wrap.ts";
import { secondsOf } from "../core/time.ts";
import type { Config } from "../config/config.ts";
import { likelyMistakes } from "../diagnosis/explanation.ts";
import { tryInSite } from "../diagnosis/message_trial.ts";
import type { Store } from "../store/store.ts";
import { openGateway, refusalOf } from "./gateway_api.ts";
import type { JsonOption } from "./json_output.ts";
import { configOf, layoutOf, withSecrets } from "./open_site.ts";
import { untilStopped } from "./stop_signal.ts";
import { CommandError, EXIT, hasColour, lineChars, note, print, printable } from "./terminal.ts";

/** What `watch` may be told. */
interface WatchOptions extends JsonOption {
  readonly payloads?: true;
}

/** An item of the feed, as the API writes it. */
interface Item {
  readonly kind: string;
  readonly time: string;
  readonly device_id: string;
  readonly message_id?: string;
  readonly code?: string;
  readonly reason?: string;
  readonly late_seconds?: number;
  readonly delay_ms?: number;
  readonly state?: string;
  readonly delivery?: string;
  readonly key?: string;
  readonly payload?: string;
  readonly message?: string;
}

const AGAIN_MS = 1_000;
/** Least time between two searches for a mistake, milliseconds. */
const SEARCH_PAUSE_MS = 1_000;
const RED = "\x1b[31m";
const PLAIN = "\x1b[0m";
/** Of what stands below the time. */
const INDENT = " ".repeat(9);

/** Shows what happens to all devices, or to one. */
export async function watch(deviceId: string | undefined, options: WatchOptions): Promise<void> {
  if (deviceId !== undefined && !isDeviceId(deviceId)) {
    throw new CommandError(`There is no device "${deviceId}"`, { exit: EXIT.usage });
  }
  const config = configOf(layoutOf(options));
  await untilStopped(async (signal) => {
    await withSecrets(config, () => Promise.resolve()); // what is wrong with the site is said first
    await follow({ deviceId, options, signal, advisor: new Advisor(config) });
  });
}

/** What is followed, until when, and who knows the likely mistakes. */
interface Following {
  readonly deviceId: string | undefined;
  readonly options: WatchOptions;
  readonly signal: AbortSignal;
  readonly advisor: Advisor;
}

async function follow(following: Following): Promise<void> {
  const { signal, options } = following;
  const { api, url } = openGateway(options);
  let after: string | undefined;
  let [isLost, isFirst] = [false, true];
  try {
    while (!signal.aborted) {
      try {
        const response = await open(api, following, after);
        if (isFirst) note(`note: watching ${url}; Ctrl+C ends it`);
        else if (isLost) note("note: the gateway is back");
        isLost = isFirst = false;
        for await (const event of readEvents(response.body!)) {
          after = event.id ?? after;
          await show(event, following);
        }
      } catch (error) {
        if (error instanceof CommandError) throw error;
        if (signal.aborted) return;
        if (!isLost) note(`note: the gateway does not answer: ${faultText(error)}`);
        isLost = true;
      }
      await pause(AGAIN_MS, undefined, { signal }).catch(() => {});
    }
  } finally {
    api.close();
  }
}

async function open(
  api: ApiClient,
  { deviceId, options, signal }: Following,
  after: string | undefined,
): Promise<Response> {
  const extras = options.payloads ? "payloads,rejected" : "rejected";
  const query = new URLSearchParams({ with: extras, ...(deviceId && { device: deviceId }) });
  const response = await api.stream(`/ui/api/events?${query}`, { signal, after });
  if (response.status === 503) throw new Error("it is stopping or starting");
  if (response.status === 200) return response;
  throw refusalOf(await answerOf(response));
}

async function show({ kind, data }: StreamEvent, { options, advisor }: Following): Promise<void> {
  if (kind === "omitted") {
    const { count } = JSON.parse(data);
    if (options.json) return print(JSON.stringify({ kind, count }));
    return print(`${INDENT}… ${count} more, too many to show`);
  }
  const item: Item = { kind, ...JSON.parse(data) };
  const mistakes = kind === "rejected" ? await advisor.mistakesIn(item) : [];
  if (options.json) {
    const { message: _, ...shown } = item;
    return print(JSON.stringify(mistakes.length > 0 ? { ...shown, hints: mistakes } : shown));
  }
  for (const line of linesOf(item, mistakes, { columns: lineChars() })) print(line);
}

/** The lines for one item. */
export function linesOf(
  item: Item,
  mistakes: readonly string[],
  { columns, colour = hasColour(Deno.stdout) }: {
    readonly columns: number;
    readonly colour?: boolean;
  },
): string[] {
  const { kind, time, device_id: deviceId, payload } = item;
  const word = (kind === "dead_lettered" ? "dead" : kind).padEnd(9);
  const text = `${time.slice(11, 19)} ${word} ${printable(deviceId)} ${printable(detailOf(item))}`;
  const [first = "", ...rest] = wrapped(text, columns - INDENT.length);
  const isRed = colour && (kind === "rejected" || kind === "dead_lettered");
  const below = [
    ...mistakes.map((mistake) => `likely: ${printable(mistake)}`),
    ...(payload === undefined ? [] : [printable(payload)]),
  ].flatMap((one) => wrapped(one, columns - INDENT.length));
  return [
    isRed ? first.replace(word, `${RED}${word}${PLAIN}`) : first,
    ...[...rest, ...below].map((line) => INDENT + line),
  ];
}

function detailOf(item: Item): string {
  const { kind, message_id: id = "", reason = "" } = item;
  switch (kind) {
    case "accepted":
      return item.late_seconds === undefined ? id : `${id}, ${item.late_seconds} s late`;
    case "rejected":
      return `${reason.replace(/^Rejected message( from \S+)?: /, "")}${id && ` (${id})`}`;
    case "retried":
      return `${id}: ${reason}, again in ${((item.delay_ms ?? 0) / 1000).toFixed(1)} s`;
    case "dead_lettered":
      return `${id}: ${reason}`;
    case "command":
      return `${id}: ${item.state ?? item.delivery ?? ""}, of key ${item.key ?? ""}`;
    default:
      return id;
  }
}

/** Finds the likely mistakes, not more often than it may. */
class Advisor {
  readonly #config: Config;
  #nextMs = 0;

  constructor(config: Config) {
    this.#config = config;
  }

  /** None if it cannot look: what happened is shown in any case. */
  async mistakesIn(item: Item): Promise<readonly string[]> {
    if (item.message === undefined || performance.now() < this.#nextMs) return [];
    try {
      // Opened for each: the secrets may have other keys by now.
      return await withSecrets(this.#config, (store) => this.#search(item, store));
    } catch {
      return [];
    } finally {
      this.#nextMs = performance.now() + SEARCH_PAUSE_MS;
    }
  }

  async #search(
    { message = "", device_id: identity, code, time }: Item,
    store: Store,
  ): Promise<readonly string[]> {
    const { toleranceSeconds } = this.#config.checks;
    const nowSeconds = secondsOf(Date.parse(time));
    const bytes = Uint8Array.fromBase64(message);
    const subject = { bytes, identity, nowSeconds, now: true, retained: false, toleranceSeconds };
    const trial = await tryInSite(subject, { store, secret: undefined });
    const isSame = trial.verdict.kind === "rejected" && trial.verdict.code === code;
    return isSame ? await likelyMistakes(trial) : [];
  }
}
