/** What became of commands: one, those of a device, and the end of one. */

import { createHash } from "node:crypto";
import { type Command, COMMAND_STATES, type CommandState } from "../../core/command_life.ts";
import { commandRecord, commandRecords } from "../../core/command_record.ts";
import type { CommandName, CommandSelection } from "../../core/command_store.ts";
import { isDeviceId } from "../../core/device.ts";
import { secondsOf } from "../../core/time.ts";
import { reaches } from "../../store/api_keys.ts";
import type { Asked, CommandRouteParts, Target } from "./command_target.ts";
import { problem } from "./problem.ts";
import { hasEntityTag, readWait } from "./request_fields.ts";

/** Most commands in one answer. */
const LIST_MAX = 100;

/** Hex digits of an entity tag. */
const ETAG_DIGITS = 32;

const RETRY_AFTER = { "retry-after": "5" };
const JSON_FIELDS = { "content-type": "application/json" };
const PARAMETERS = ["state", "after", "limit"];

/** A command of a device. */
interface CommandTarget extends Target {
  /** As in the path, any text. */
  readonly messageId: string;
}

/** `GET /command/{id}/{message_id}`: its record; held while the client has it already. */
export async function getCommand(
  target: CommandTarget,
  { request, stop }: Asked,
  parts: CommandRouteParts,
): Promise<Response> {
  const command = await find(target, parts);
  if (command === undefined) return problem("unknown-command");
  const isNews = (now: Command) => !hasEntityTag(request.headers, entityTag(commandRecord(now)));
  const seconds = readWait(request.headers);
  if (seconds === undefined || isNews(command)) return answer(command, isNews, {});
  const stops = [request.signal, stop];
  const waited = await parts.waits.until(command, { seconds, isOver: isNews, stops });
  if (waited === undefined) return answer(command, isNews, {});
  return answer(waited.command, isNews, { "preference-applied": `wait=${waited.seconds}` });
}

/** `GET /command/{id}`: the commands of a device, in the order of acceptance. */
export async function listCommands(
  target: Target,
  query: URLSearchParams,
  parts: CommandRouteParts,
): Promise<Response> {
  const { deviceId } = target;
  if (!isReached(target)) return problem("unknown-device");
  const selection = readSelection(query);
  if (typeof selection === "string") return problem("bad-query", { detail: selection });
  const { after, limit } = selection;
  if (after !== undefined && !await parts.commands.find({ deviceId, messageId: after })) {
    const detail = "after: this device has no such command; begin again without it";
    return problem("bad-query", { detail });
  }
  const found = await parts.commands.list(deviceId, { ...selection, limit: limit + 1 });
  if (found.length === 0 && !await isKnown(deviceId, parts)) return problem("unknown-device");
  const page = found.slice(0, limit);
  const next = found.length > limit ? page.at(-1)!.messageId : null;
  return new Response(commandRecords(page, next), { headers: JSON_FIELDS });
}

/** `DELETE /command/{id}/{message_id}`: no more copies of it are sent. */
export async function cancelCommand(
  target: CommandTarget,
  parts: CommandRouteParts,
): Promise<Response> {
  if (!isReached(target)) return problem("unknown-command");
  const result = await parts.requests.cancel(target);
  if (result.kind === "cancelled" || (result.kind === "withdrawn" && result.isNews)) {
    const { deviceId, messageId, state } = result.command;
    const names = { keyName: target.key.name, deviceId, messageId };
    parts.emit({ kind: "command_cancelled", ...names, state });
  }
  switch (result.kind) {
    case "cancelled":
      return new Response(commandRecord(result.command), { headers: JSON_FIELDS });
    case "withdrawn":
      return new Response(commandRecord(result.command), { status: 202, headers: JSON_FIELDS });
    case "already_final":
      return problem("already-final", { members: { state: result.command.state } });
    case "unknown":
      return problem("unknown-command");
    case "unstored": {
      const detail = "Nothing has changed; try again";
      return problem("store-unavailable", { detail, headers: RETRY_AFTER });
    }
    default:
      return result satisfies never;
  }
}

/** A key for other devices learns nothing, not even whether there is such a device. */
function isReached({ key, deviceId }: Target): boolean {
  return isDeviceId(deviceId) && reaches(key, deviceId);
}

async function find(target: CommandTarget, parts: CommandRouteParts): Promise<Command | undefined> {
  const name: CommandName = target;
  return isReached(target) ? await parts.commands.find(name) : undefined;
}

/** RFC 9110 §8.8.3: strong, since the same record is the same bytes. */
function entityTag(record: Uint8Array): string {
  return `"${createHash("sha256").update(record).digest("hex").slice(0, ETAG_DIGITS)}"`;
}

function answer(
  command: Command,
  isNews: (command: Command) => boolean,
  fields: Record<string, string>,
): Response {
  const record = commandRecord(command);
  const headers = { etag: entityTag(record), ...fields };
  if (!isNews(command)) return new Response(null, { status: 304, headers });
  return new Response(record, { headers: { ...JSON_FIELDS, ...headers } });
}

async function isKnown(deviceId: string, { keys, clock }: CommandRouteParts): Promise<boolean> {
  await keys.refresh();
  return keys.statusOf(deviceId, secondsOf(clock.wallMs())) !== "unknown";
}

/** Which commands are asked for, or what is wrong with that. */
function readSelection(query: URLSearchParams): CommandSelection | string {
  for (const name of new Set(query.keys())) {
    if (!PARAMETERS.includes(name)) return `There are ${PARAMETERS.join(", ")}, and no others`;
    if (query.getAll(name).length > 1) return `${name}: send it once`;
  }
  const state = query.get("state");
  const limit = query.get("limit") ?? String(LIST_MAX);
  if (state !== null && !isState(state)) return `state: one of ${COMMAND_STATES.join(", ")}`;
  const isLimit = /^[0-9]{1,9}$/.test(limit) && Number(limit) >= 1 && Number(limit) <= LIST_MAX;
  if (!isLimit) return `limit: a number from 1 to ${LIST_MAX}`;
  return {
    ...{ state: state ?? undefined, after: query.get("after") ?? undefined },
    limit: Number(limit),
  };
}

function isState(text: string): text is CommandState {
  return (COMMAND_STATES as readonly string[]).includes(text);
}
