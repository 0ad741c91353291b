/**
 * The gateway's own HTTPS API: a function from Request to Response.
 *
 * The rules are:
 * - a client without a key learns that the gateway runs, if it is ready, and what the API is, which
 *   `docs/openapi.json` says to all; on every other path the key is checked before anything else;
 * - a key for some devices shows nothing of the others, not even whether they exist;
 * - a body is counted while it comes and has a time limit; nothing is read further than needed;
 * - every error is a problem of `problem.ts`.
 */

import { Hono } from "hono";
import description from "../../../docs/openapi.json" with { type: "json" };
import { type ApiKey, reaches } from "../../store/api_keys.ts";
import { COMMAND_DEPTH_MAX, COMMAND_MAX_BYTES } from "../../core/command.ts";
import { isDeviceId } from "../../core/device.ts";
import type { CommandRefusal, Emit } from "../../core/event.ts";
import { readJsonText } from "../../core/json_text.ts";
import type { BearerAuth } from "./bearer_auth.ts";
import type { CommandRequest, CommandResult } from "../pipeline/command_requests.ts";
import { readBoundedBody } from "../bounded_body.ts";
import { problem, type ProblemName } from "./problem.ts";
import { namesOneHost } from "./request_host.ts";

/** Longest time for a request's body to come, milliseconds. */
export const BODY_TIMEOUT_MS = 10_000;

/** What a client waits before it tries again, seconds. */
const RETRY_AFTER_SECONDS = 5;

/** What the API needs of the gateway. */
interface RouteParts {
  readonly auth: BearerAuth;
  /** Why the gateway is not ready; empty if it is. */
  unreadiness(): readonly string[];
  /** What else is wrong, though messages are taken; empty if nothing is. */
  degraded(): readonly string[];
  readonly metrics: { text(): Promise<string>; readonly contentType: string };
  readonly commands: { send(request: CommandRequest): Promise<CommandResult> };
  /** Told of each command with a key that was not sent. */
  onRefused(refusal: CommandRefusal): void;
  readonly bodyTimeoutMs: number;
  readonly emit: Emit;
}

/** Answers one request; `address` is the client's. */
export type ApiHandler = (request: Request, address: string) => Promise<Response>;

/** Makes the API. */
export function createRoutes(parts: RouteParts): ApiHandler {
  const app = new Hono<{ Bindings: { address: string } }>();
  app.get("/healthz", () => Response.json({ status: "alive" }));
  app.get("/readyz", () => readiness(parts));
  app.get("/openapi.json", () => Response.json(description));
  app.get("/metrics", async (c) => {
    const key = await parts.auth.authenticate(c.req.raw, c.env.address);
    return key instanceof Response ? key : await exposition(parts.metrics);
  });
  app.post("/command/:id", async (c) => {
    const key = await parts.auth.authenticate(c.req.raw, c.env.address);
    if (key instanceof Response) return key;
    return await command({ key, deviceId: c.req.param("id") }, c.req.raw, parts);
  });
  for (const path of ["/healthz", "/readyz", "/openapi.json", "/metrics"]) {
    app.all(path, () => notAllowed("GET"));
  }
  app.all("/command/:id", () => notAllowed("POST"));
  app.notFound(() => problem("not-found"));
  app.onError((error) => {
    parts.emit({ kind: "api_failed", part: "request", reason: error.message });
    return problem("internal");
  });
  return async (request, address) =>
    namesOneHost(request) ? await app.fetch(request, { address }) : problem("bad-host");
}

function readiness(parts: RouteParts): Response {
  const reasons = parts.unreadiness();
  const degraded = parts.degraded();
  return reasons.length === 0
    ? Response.json({ status: "ready", degraded })
    : problem("not-ready", {
      detail: reasons.join("; "),
      headers: retryAfter(),
      members: { degraded },
    });
}

async function exposition(metrics: RouteParts["metrics"]): Promise<Response> {
  const headers = { "content-type": metrics.contentType };
  return new Response(await metrics.text(), { headers });
}

function notAllowed(allow: string): Response {
  return problem("method-not-allowed", { headers: { allow } });
}

/** Whose command it is, and to which device; the id may be any text. */
interface Target {
  readonly key: ApiKey;
  readonly deviceId: string;
}

async function command(target: Target, request: Request, parts: RouteParts): Promise<Response> {
  const { deviceId } = target;
  const payload = await readPayload(target, request, parts.bodyTimeoutMs);
  const names = { keyName: target.key.name, deviceId };
  const refuse = (reason: ProblemName, options: Refusal = {}) => {
    const { messageId, ...answer } = options;
    parts.onRefused({ ...names, messageId, reason });
    return problem(reason, answer);
  };
  if (!(payload instanceof Uint8Array)) {
    return refuse(payload.name, payload.detail === undefined ? {} : { detail: payload.detail });
  }
  const result = await parts.commands.send({
    ...names,
    ...{ payload, ttlSeconds: undefined, idempotencyKey: undefined },
  });
  switch (result.kind) {
    case "accepted": {
      const { messageId, timestamp, delivery } = result;
      parts.emit({ kind: "command_accepted", ...names, messageId, delivery });
      const body = { device_id: deviceId, message_id: messageId, timestamp, delivery };
      return Response.json(body, { status: 202 });
    }
    case "unknown_device":
      return refuse("unknown-device");
    case "unstored":
      return refuse("store-unavailable", { headers: retryAfter() });
    case "unsent":
      return refuse("broker-unavailable", { headers: retryAfter() });
    case "unacknowledged":
      return refuse("broker-unavailable", { messageId: result.messageId, headers: retryAfter() });
    case "too_many_waiting":
    case "key_under_way":
    case "key_reused":
      return refuse("internal");
    default:
      return result satisfies never;
  }
}

/** What goes with a refusal. */
interface Refusal {
  readonly messageId?: string;
  readonly detail?: string;
  readonly headers?: Record<string, string>;
}

/** The payload as compact JSON, or the problem with the request. */
async function readPayload(
  { key, deviceId }: Target,
  request: Request,
  timeoutMs: number,
): Promise<Uint8Array | { readonly name: ProblemName; readonly detail?: string }> {
  if (!isDeviceId(deviceId) || !reaches(key, deviceId)) return { name: "unknown-device" };
  if (!isJson(request.headers.get("content-type"))) return { name: "not-application-json" };
  const body = await readBody(request, timeoutMs);
  if (typeof body === "string") return { name: body };
  const json = readJsonText(body, COMMAND_DEPTH_MAX);
  if (json.ok) return json.compact;
  return { name: "not-json", detail: `${json.fault.what}, at byte ${json.fault.at}` };
}

function isJson(contentType: string | null): boolean {
  return /^application\/json[ \t]*(;|$)/i.test(contentType ?? "");
}

/** The whole body, or the name of the problem with it. */
async function readBody(
  { body, headers }: Request,
  timeoutMs: number,
): Promise<Uint8Array | ProblemName> {
  if (Number(headers.get("content-length")) > COMMAND_MAX_BYTES) return "too-large";
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), timeoutMs);
  const options = { maxBytes: COMMAND_MAX_BYTES, headers, stop: late.signal };
  try {
    const bytes = await readBoundedBody(body, options);
    return late.signal.aborted ? "timeout" : bytes ?? "too-large";
  } catch {
    // Unless it is late, the client went away in the middle: no one reads the answer.
    return late.signal.aborted ? "timeout" : "not-json";
  } finally {
    clearTimeout(timer);
  }
}

function retryAfter(): Record<string, string> {
  return { "retry-after": String(RETRY_AFTER_SECONDS) };
}
