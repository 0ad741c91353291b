/** The paths of commands. */

import type { Hono } from "hono";
import { type BearerAuth, unauthorized } from "./bearer_auth.ts";
import { postCommand } from "./command_posts.ts";
import { cancelCommand, getCommand, listCommands } from "./command_reads.ts";
import type { CommandRouteParts } from "./command_target.ts";
import { problem } from "./problem.ts";

/** What the routes know of a request beside itself. */
export interface RouteEnvironment {
  readonly Bindings: { readonly address: string; readonly stop: AbortSignal };
}

/** Adds the paths to an app. */
export function addCommandRoutes(
  app: Hono<RouteEnvironment>,
  parts: CommandRouteParts,
  auth: Pick<BearerAuth, "authenticate" | "stands">,
): void {
  app.on(["GET", "POST"], "/command/:id", async (c) => {
    const { address, stop } = c.env;
    const request = c.req.raw;
    const key = await auth.authenticate(request, address);
    if (key instanceof Response) return key;
    const target = { key, deviceId: c.req.param("id") };
    return request.method === "POST"
      ? await postCommand(target, { request, stop }, parts)
      : await listCommands(target, new URL(request.url).searchParams, parts);
  });
  app.on(["GET", "DELETE"], "/command/:id/:message", async (c) => {
    const { address, stop } = c.env;
    const request = c.req.raw;
    const key = await auth.authenticate(request, address);
    if (key instanceof Response) return key;
    const target = { key, deviceId: c.req.param("id"), messageId: c.req.param("message") };
    if (request.method === "DELETE") return await cancelCommand(target, parts);
    const answer = await getCommand(target, { request, stop }, parts);
    return await auth.stands(key) ? answer : unauthorized(); // it may have been held
  });
  app.all("/command/:id", () => notAllowed("GET, POST"));
  app.all("/command/:id/:message", () => notAllowed("GET, DELETE"));
}

/** The answer to a method that a path does not have (RFC 9110 §15.5.6). */
export function notAllowed(allow: string): Response {
  return problem("method-not-allowed", { headers: { allow } });
}
