/** What the API needs of a gateway, where a test says only what is different. */

import { CommandWaits } from "../../src/gateway/api/command_waits.ts";
import type { createRoutes } from "../../src/gateway/api/routes.ts";
import { CommandWatch } from "../../src/gateway/pipeline/command_watch.ts";

type ApiParts = Parameters<typeof createRoutes>[0];

/** The parts of an API without commands, whose devices are all registered. */
export function apiParts(over: Partial<ApiParts> & Pick<ApiParts, "auth">): ApiParts {
  const clock = over.clock ?? { wallMs: () => 0, monotonicMs: () => performance.now() };
  const commands = over.commands ??
    { find: () => Promise.resolve(undefined), list: () => Promise.resolve([]) };
  const never = () => Promise.reject(new Error("nobody is to ask for this"));
  return {
    ...{ clock, commands, ttlLongestSeconds: 604_800, bodyTimeoutMs: 1_000 },
    keys: { refresh: () => Promise.resolve(), statusOf: () => "active" },
    requests: { send: never, cancel: never },
    waits: new CommandWaits({ clock, commands, watch: new CommandWatch(() => {}) }, 60_000),
    feed: { follow: () => undefined },
    unreadiness: () => [],
    degraded: () => [],
    metrics: { text: () => Promise.resolve("x 1\n"), contentType: "text/plain" },
    onRefused: () => {},
    emit: () => {},
    ...over,
  };
}
