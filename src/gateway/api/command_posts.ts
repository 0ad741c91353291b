/** `POST /command/{id}`: what a request for a command is answered. */

import { commandRecord } from "../../core/command_record.ts";
import { isFinal } from "../../core/command_life.ts";
import type { CommandResult } from "../pipeline/command_requests.ts";
import { readCommandRequest } from "./command_request.ts";
import type { Asked, CommandRouteParts, Target } from "./command_target.ts";
import { problem, type ProblemName } from "./problem.ts";
import { readWait } from "./request_fields.ts";

/** What a client waits before it tries again, seconds. */
const RETRY_SECONDS = 5;
const KEY_UNDER_WAY_RETRY_SECONDS = 1;
const TOO_MANY_WAITING_RETRY_SECONDS = 30;

/** What goes with a refusal. */
interface Refusal {
  readonly messageId?: string;
  readonly detail?: string;
  readonly headers?: Record<string, string>;
  readonly members?: Readonly<Record<string, unknown>>;
}

/** Sends a command, and says what is known of it. */
export async function postCommand(
  target: Target,
  asked: Asked,
  parts: CommandRouteParts,
): Promise<Response> {
  const result = await send(target, asked.request, parts);
  if (result.kind === "refused") return refuse(target, result, parts);
  if (result.kind !== "accepted") return refuse(target, refusalOf(target, result), parts);
  const { messageId, delivery, replayed } = result;
  const names = { keyName: target.key.name, deviceId: target.deviceId, messageId };
  if (!replayed) parts.emit({ kind: "command_accepted", ...names, delivery });
  const headers = { location: pathOf(target, messageId), ...(replayed && REPLAYED) };
  return await held(names, asked, { parts, headers }) ?? accepted(target, result, headers);
}

/** The payload is gone when this returns: an answer that is held does not hold it. */
async function send(target: Target, request: Request, parts: CommandRouteParts) {
  const asked = await readCommandRequest(target, request, parts);
  return "name" in asked
    ? { kind: "refused" as const, ...asked }
    : await parts.requests.send(asked);
}

function accepted(
  { deviceId }: Target,
  result: CommandResult & { readonly kind: "accepted" },
  headers: Record<string, string>,
): Response {
  const { messageId, timestamp, delivery } = result;
  const body = { device_id: deviceId, message_id: messageId, timestamp, delivery };
  return Response.json(body, { status: 202, headers });
}

/** The record after the wait that was asked for; undefined if there is no wait. */
async function held(
  name: { readonly deviceId: string; readonly messageId: string },
  { request, stop }: Asked,
  { parts, headers }: {
    readonly parts: CommandRouteParts;
    readonly headers: Record<string, string>;
  },
): Promise<Response | undefined> {
  const seconds = readWait(request.headers);
  if (seconds === undefined) return undefined;
  const stops = [request.signal, stop];
  const waited = await parts.waits.until(name, { seconds, isOver: isFinal, stops });
  if (waited === undefined) return undefined;
  return new Response(commandRecord(waited.command), {
    headers: {
      "content-type": "application/json",
      ...headers,
      "preference-applied": `wait=${waited.seconds}`,
    },
  });
}

const REPLAYED = { "idempotent-replayed": "true" };

/** What is wrong, and what goes with it. */
function refusalOf(
  target: Target,
  result: Exclude<CommandResult, { readonly kind: "accepted" }>,
): Refusal & { readonly name: ProblemName } {
  switch (result.kind) {
    case "unknown_device":
      return { name: "unknown-device" };
    case "unstored":
      return { name: "store-unavailable", headers: retryAfter(RETRY_SECONDS) };
    case "unsent":
      return { name: "broker-unavailable", headers: retryAfter(RETRY_SECONDS) };
    case "unacknowledged":
      return {
        name: "broker-unavailable",
        messageId: result.messageId,
        detail: "The broker has not acknowledged it: a copy may reach the device. " +
          "GET the path in Location to see what became of it",
        headers: {
          ...retryAfter(RETRY_SECONDS),
          location: pathOf(target, result.messageId),
          ...(result.replayed && REPLAYED),
        },
      };
    case "too_many_waiting":
      return { name: "too-many-waiting", headers: retryAfter(TOO_MANY_WAITING_RETRY_SECONDS) };
    case "key_under_way":
      return { name: "key-under-way", headers: retryAfter(KEY_UNDER_WAY_RETRY_SECONDS) };
    case "key_reused":
      return { name: "key-reused" };
    default:
      return result satisfies never;
  }
}

function refuse(
  { key, deviceId }: Target,
  { name, messageId, ...answer }: Refusal & { readonly name: ProblemName },
  { onRefused }: CommandRouteParts,
): Response {
  onRefused({ keyName: key.name, deviceId, messageId, reason: name });
  return problem(name, answer);
}

function pathOf({ deviceId }: Target, messageId: string): string {
  return `/command/${deviceId}/${messageId}`;
}

/** RFC 9110 §10.2.3. */
function retryAfter(seconds: number): Record<string, string> {
  return { "retry-after": String(seconds) };
}
