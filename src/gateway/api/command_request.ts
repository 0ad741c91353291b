/** Reads a request for a command: what it asks for, or what is wrong with it. */

import { COMMAND_DEPTH_MAX, COMMAND_MAX_BYTES } from "../../core/command.ts";
import { isDeviceId } from "../../core/device.ts";
import { readJsonText } from "../../core/json_text.ts";
import { reaches } from "../../store/api_keys.ts";
import type { CommandRequest } from "../pipeline/command_requests.ts";
import type { Target } from "./command_target.ts";
import type { ProblemName } from "./problem.ts";
import { isJson, readBody } from "./request_body.ts";
import { readIdempotencyKey, readTtl } from "./request_fields.ts";

/** What may be asked for. */
interface RequestLimits {
  readonly bodyTimeoutMs: number;
  readonly ttlLongestSeconds: number;
}

/** What is wrong with a request. */
interface RequestFault {
  readonly name: ProblemName;
  /** Undefined: as for all of that name. */
  readonly detail?: string;
}

/** The request; the body is read last, since it costs most. */
export async function readCommandRequest(
  { key, deviceId }: Target,
  request: Request,
  limits: RequestLimits,
): Promise<CommandRequest | RequestFault> {
  if (!isDeviceId(deviceId) || !reaches(key, deviceId)) return { name: "unknown-device" };
  if (!isJson(request)) return { name: "not-application-json" };
  const ttl = readTtl(request.headers, limits.ttlLongestSeconds);
  if (!ttl.ok) return { name: "bad-ttl", detail: ttl.detail };
  const idempotencyKey = readIdempotencyKey(request.headers);
  if (!idempotencyKey.ok) return { name: "bad-idempotency-key", detail: idempotencyKey.detail };
  const { bodyTimeoutMs: timeoutMs } = limits;
  const body = await readBody(request, { maxBytes: COMMAND_MAX_BYTES, timeoutMs });
  if (typeof body === "string") return { name: body };
  const json = readJsonText(body, COMMAND_DEPTH_MAX);
  if (!json.ok) return { name: "not-json", detail: `${json.fault.what}, at byte ${json.fault.at}` };
  return {
    ...{ keyName: key.name, deviceId, payload: json.compact, ttlSeconds: ttl.value },
    idempotencyKey: idempotencyKey.value,
  };
}
