/**
 * `command`: sends a command through the API of a running gateway.
 *
 * With `--wait` the answer is what the device says: exit 0 means that it says `done`. The wait is
 * made of many requests, so that it outlives a restart of the gateway.
 */

import type { ApiAnswer } from "../client/api_client.ts";
import { type CommandView, readCommandView } from "../client/command_view.ts";
import { durationMs, isDuration } from "../config/setting_types.ts";
import { isFinal } from "../core/command_life.ts";
import { meaningOf, sayCommand } from "./command_report.ts";
import { type AskGateway, refusalOf, withGateway } from "./gateway_api.ts";
import { type JsonOption, printJson } from "./json_output.ts";
import { CommandError, EXIT, note, print, printable } from "./terminal.ts";

/** Longest time that one request is held; a gateway may hold it for less. */
const HELD_LONGEST_SECONDS = 30;
const PAUSE_MS = 500;
const KEY_MAX_CHARS = 255;

/** What `command` may be told. */
interface CommandOptions extends JsonOption {
  /** A duration: the gateway keeps the command until the device is there. */
  readonly ttl?: string;
  /** A duration: how long to wait for what the device says. */
  readonly wait?: string;
  /** The same request with the same key is the same command. */
  readonly key?: string;
}

/** What the API says of a command that it has accepted. */
interface Accepted {
  readonly device_id: string;
  readonly message_id: string;
  readonly delivery: string;
}

/** Sends a command and prints what the gateway says, or with `--wait`, what became of it. */
export async function sendCommand(
  deviceId: string,
  json: string,
  options: CommandOptions,
): Promise<void> {
  const ttlSeconds = options.ttl === undefined ? undefined : secondsOf(options.ttl);
  const waitMs = options.wait === undefined ? undefined : waitOf(options.wait);
  const idempotencyKey = options.key === undefined ? undefined : checkedKey(options.key);
  const asked = {
    ...(ttlSeconds !== undefined && { ttlSeconds }),
    ...(idempotencyKey !== undefined && { idempotencyKey }),
  };
  await withGateway(options, async (ask) => {
    const answer = await ask((api) => api.command(deviceId, json, asked));
    if (answer.status !== 202) throw refusalOf(answer, hintFor(answer, options));
    const accepted: Accepted = JSON.parse(answer.text);
    if (answer.headers.has("idempotent-replayed")) {
      note("note: the same command was asked for with this key before; it is not sent again");
    }
    const isLost = accepted.delivery === "no_subscriber" && ttlSeconds === undefined;
    if (waitMs === undefined || isLost) sayAccepted(answer, options);
    if (isLost) sayLost(waitMs !== undefined);
    else if (waitMs !== undefined) await waitFor(accepted, waitMs, { ask, options });
  });
}

function sayAccepted({ text }: ApiAnswer, { json }: JsonOption): void {
  if (json) printJson(JSON.parse(text));
  else print(printable(text));
}

/** Sent once, and nobody was there: it will not be sent again. */
function sayLost(isAwaited: boolean): void {
  const fault = "The device is not there: the command is lost";
  const hint = "With --ttl 1h the gateway keeps it until the device is there";
  if (isAwaited) throw new CommandError(fault, { hint });
  note(`note: ${fault}\nhint: ${hint}`);
}

/** Prints the record once it is final or the time is over; fails unless the device says `done`. */
async function waitFor(
  { device_id: deviceId, message_id: messageId, delivery }: Accepted,
  waitMs: number,
  { ask, options }: { readonly ask: AskGateway; readonly options: CommandOptions },
): Promise<void> {
  const asked = printable(`command ${messageId} is ${delivery}`);
  note(`note: ${asked}; waiting for what the device says`);
  const command = await recordAfter({ deviceId, messageId }, waitMs, ask);
  sayCommand(command, options);
  const { state } = command;
  if (state === "done") return;
  if (isFinal(command)) throw new CommandError(`The command is ${state}: ${meaningOf(state)}`);
  throw new CommandError(
    `The command is ${state} after ${options.wait}: ${meaningOf(state)}`,
    { hint: `See later with secure-iot-gateway commands show ${messageId}` },
  );
}

/** The record when it is final, or as it is when the time is over. */
async function recordAfter(
  name: { readonly deviceId: string; readonly messageId: string },
  waitMs: number,
  ask: AskGateway,
): Promise<CommandView> {
  const endMs = performance.now() + waitMs;
  let last: ApiAnswer | undefined;
  while (true) {
    const beganMs = performance.now();
    const answer = await nextAnswer(name, last, { endMs, ask });
    if (answer?.status === 200) last = answer;
    else if (answer && answer.status !== 304) throw refusalOf(answer);
    const command = last && readCommandView(last.text);
    if (command && (isFinal(command) || performance.now() >= endMs)) return command;
    // A gateway that starts again, or that holds no answer, is not asked all the time.
    const isQuick = answer?.status !== 200 && performance.now() - beganMs < PAUSE_MS;
    if (isQuick) await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

/** The next answer; undefined if the gateway is away, stops or starts, and there is time left. */
async function nextAnswer(
  name: { readonly deviceId: string; readonly messageId: string },
  last: ApiAnswer | undefined,
  { endMs, ask }: { readonly endMs: number; readonly ask: AskGateway },
): Promise<ApiAnswer | undefined> {
  const leftSeconds = Math.ceil((endMs - performance.now()) / 1000);
  const waitSeconds = Math.min(HELD_LONGEST_SECONDS, Math.max(0, leftSeconds));
  const etag = last?.headers.get("etag") ?? undefined;
  const options = { ...(etag !== undefined && { etag }), waitSeconds };
  try {
    const answer = await ask((api) => api.commandRecord(name, options));
    return answer.status === 503 && performance.now() < endMs ? undefined : answer;
  } catch (error) {
    if (performance.now() >= endMs) throw error;
    return undefined;
  }
}

/** What to type after a refusal. */
function hintFor(answer: ApiAnswer, { ttl }: CommandOptions): string | undefined {
  const messageId = answer.headers.get("location")?.split("/").at(-1);
  if (messageId !== undefined) {
    return `See what became of it with secure-iot-gateway commands show ${messageId}`;
  }
  switch (problemOf(answer.text)) {
    case "not-json":
      return `Quote the JSON for the shell, as in '{"action":"reboot"}'`;
    case "unknown-device":
      return "See secure-iot-gateway device list";
    case "too-many-waiting":
      return "See secure-iot-gateway commands list --state waiting; commands cancel ends one";
    case "broker-unavailable":
      return ttl === undefined
        ? "With --ttl 1h the gateway keeps it until the broker and the device are there"
        : undefined;
    default:
      return undefined;
  }
}

/** The name of a problem, the end of its type; empty if it is none. */
function problemOf(text: string): string {
  try {
    return String(JSON.parse(text).type).split(":").at(-1)!;
  } catch {
    return "";
  }
}

function secondsOf(ttl: string): number {
  const seconds = isDuration(ttl) ? durationMs(ttl) / 1000 : 0;
  if (Number.isInteger(seconds) && seconds > 0) return seconds;
  throw new CommandError(`Cannot use --ttl "${ttl}"`, {
    exit: EXIT.usage,
    hint: 'Give whole seconds, from "5s" to commands.ttl_longest, such as "1h"',
  });
}

function waitOf(wait: string): number {
  if (isDuration(wait)) return durationMs(wait);
  throw new CommandError(`Cannot use --wait "${wait}"`, {
    exit: EXIT.usage,
    hint: 'Give a duration such as "10s" or "5m"',
  });
}

function checkedKey(key: string): string {
  if (/^[\x21-\x7e]+$/.test(key) && key.length <= KEY_MAX_CHARS) return key;
  throw new CommandError(`Cannot use --key "${key}"`, {
    exit: EXIT.usage,
    hint: `Give 1 to ${KEY_MAX_CHARS} visible ASCII characters without blanks, such as order-17`,
  });
}
