/** The paths of commands. */

import type { Hono } from "hono";
import { type ApiKey, type KeyRight, may } from "../../store/api_keys.ts";
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
    if (request.method === "POST" && !may(key, "command")) {
      parts.onRefused({
        ...{ keyName: key.name, deviceId: target.deviceId },
        ...{ messageId: undefined, reason: "not-permitted" },
      });
      return notPermitted(key, "command");
    }
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
    if (request.method === "DELETE") {
      return may(key, "cancel") ? await cancelCommand(target, parts) : notPermitted(key, "cancel");
    }
    const answer = await getCommand(target, { request, stop }, parts);
    return await auth.stands(key) ? answer : unauthorized(); // it may have been held
  });
  app.all("/command/:id", () => notAllowed("GET, POST"));
  app.all("/command/:id/:message", () => notAllowed("GET, DELETE"));
}

/** What a key that may not do something is told: which may. */
const KEYS_FOR: Readonly<Record<KeyRight, string>> = {
  command: "a key that is made without --view and --operate sends commands",
  cancel: "a key that is made with --operate, or without --view, cancels commands",
  look: "make one that looks: key add NAME --view",
  operate: "make one that may do this: key add NAME --operate",
};

/** The answer to a request whose key has not the right to it. */
export function notPermitted({ role }: Pick<ApiKey, "role">, right: KeyRight): Response {
  return problem("not-permitted", { detail: `This key is for "${role}"; ${KEYS_FOR[right]}` });
}

/** The answer to a method that a path does not have (RFC 9110 §15.5.6). */
export function notAllowed(allow: string): Response {
  return problem("method-not-allowed", { headers: { allow } });
}
