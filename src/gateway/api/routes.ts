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
import { addCommandRoutes, notAllowed, type RouteEnvironment } from "./command_routes.ts";
import { withPageHeaders } from "../page/page_headers.ts";
import { addPageRoutes, type PageParts } from "../page/page_routes.ts";
import { problem } from "./problem.ts";
import { namesOneHost } from "./request_host.ts";

/** Longest time for a request's body to come, milliseconds. */
export const BODY_TIMEOUT_MS = 10_000;

/** What a client waits before it tries again, seconds. */
const RETRY_AFTER_SECONDS = 5;

/** What the API needs of the gateway. */
interface RouteParts extends PageParts {
  /** Why the gateway is not ready; empty if it is. */
  unreadiness(): readonly string[];
  /** What else is wrong, though messages are taken; empty if nothing is. */
  degraded(): readonly string[];
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
  for (const path of ["/healthz", "/readyz", "/openapi.json", "/metrics"]) {
    app.all(path, () => notAllowed("GET"));
  }
  addCommandRoutes(app, parts, parts.auth);
  addPageRoutes(app, parts);
  app.notFound(() => problem("not-found"));
  app.onError((error) => {
    parts.emit({ kind: "api_failed", part: "request", reason: error.message });
    return problem("internal");
  });
  return async (request, address, stop = NEVER) => {
    if (!namesOneHost(request)) return problem("bad-host");
    const answer = await app.fetch(request, { address, stop });
    return isPagePath(request) ? withPageHeaders(answer) : answer;
  };
}

function isPagePath({ url }: Request): boolean {
  return /^\/ui(\/|$)/.test(new URL(url).pathname);
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
