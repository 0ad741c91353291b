/**
 * The gateway's own HTTPS API: a function from Request to Response.
 *
 * The rules are:
 * - a client without a key learns that the gateway runs, if it is ready, and what the API is, which
 *   `docs/openapi.json` says to all; whatever shows or does anything else checks the key first;
 * - a key for some devices shows nothing of the others, not even whether they exist;
 * - a body is counted while it comes and has a time limit; nothing is read further than needed;
 * - an answer that is held ends with its client, its server and the gateway, and shows nothing once
 *   its key is removed;
 * - every error is a problem of `problem.ts`.
 */

import { Hono } from "hono";
import description from "../../../docs/openapi.json" with { type: "json" };
import type { BearerAuth } from "./bearer_auth.ts";
import { addCommandRoutes, notAllowed, type RouteEnvironment } from "./command_routes.ts";
import type { CommandRouteParts } from "./command_target.ts";
import { streamEvents } from "./event_stream.ts";
import type { EventFeed } from "../telemetry/event_feed.ts";
import { problem } from "./problem.ts";
import { namesOneHost } from "./request_host.ts";

/** Longest time for a request's body to come, milliseconds. */
export const BODY_TIMEOUT_MS = 10_000;

/** What a client waits before it tries again, seconds. */
const RETRY_AFTER_SECONDS = 5;

/** What the API needs of the gateway. */
interface RouteParts extends CommandRouteParts {
  readonly auth: Pick<BearerAuth, "authenticate" | "authenticateReader" | "stands">;
  /** Why the gateway is not ready; empty if it is. */
  unreadiness(): readonly string[];
  /** What else is wrong, though messages are taken; empty if nothing is. */
  degraded(): readonly string[];
  readonly feed: Pick<EventFeed, "follow">;
  readonly metrics: { text(): Promise<string>; readonly contentType: string };
}

/** Answers one request; `address` is the client's, and `stop` ends an answer that is held. */
export type ApiHandler = (
  request: Request,
  address: string,
  stop?: AbortSignal,
) => Promise<Response>;

/** For a server that never stops. */
const NEVER = new AbortController().signal;

/** Makes the API. */
export function createRoutes(parts: RouteParts): ApiHandler {
  const app = new Hono<RouteEnvironment>();
  app.get("/healthz", () => Response.json({ status: "alive" }));
  app.get("/readyz", () => readiness(parts));
  app.get("/openapi.json", () => Response.json(description));
  app.get("/metrics", async (c) => {
    const key = await parts.auth.authenticateReader(c.req.raw, c.env.address);
    return key instanceof Response ? key : await exposition(parts.metrics);
  });
  app.get("/ui/api/events", async (c) => {
    const { address, stop } = c.env;
    const key = await parts.auth.authenticate(c.req.raw, address);
    if (key instanceof Response) return key;
    const keyStands = () => parts.auth.stands(key);
    return streamEvents({ key, keyStands, request: c.req.raw, stop }, parts.feed);
  });
  for (const path of ["/healthz", "/readyz", "/openapi.json", "/metrics", "/ui/api/events"]) {
    app.all(path, () => notAllowed("GET"));
  }
  addCommandRoutes(app, parts, parts.auth);
  app.notFound(() => problem("not-found"));
  app.onError((error) => {
    parts.emit({ kind: "api_failed", part: "request", reason: error.message });
    return problem("internal");
  });
  return async (request, address, stop = NEVER) =>
    namesOneHost(request) ? await app.fetch(request, { address, stop }) : problem("bad-host");
}

function readiness(parts: RouteParts): Response {
  const reasons = parts.unreadiness();
  const degraded = parts.degraded();
  return reasons.length === 0
    ? Response.json({ status: "ready", degraded })
    : problem("not-ready", {
      detail: reasons.join("; "),
      headers: { "retry-after": String(RETRY_AFTER_SECONDS) },
      members: { degraded },
    });
}

async function exposition(metrics: RouteParts["metrics"]): Promise<Response> {
  const headers = { "content-type": metrics.contentType };
  return new Response(await metrics.text(), { headers });
}
