/** What the API needs of a gateway, where a test says only what is different. */

import { CommandWaits } from "../../src/gateway/api/command_waits.ts";
import type { createRoutes } from "../../src/gateway/api/routes.ts";
import { PageMemory } from "../../src/gateway/page/page_memory.ts";
import { CommandWatch } from "../../src/gateway/pipeline/command_watch.ts";

type ApiParts = Parameters<typeof createRoutes>[0];
type Sources = ApiParts["sources"];

/** A store that nobody is to ask. */
const UNASKED = new Proxy({}, {
  get: (_target, name) => {
    throw new Error(`nobody is to ask for ${String(name)}`);
  },
}) as Sources["store"];

/** A gateway without devices, messages and commands, as its page shows it. */
export function pageSources(over: Partial<Sources> = {}): Sources {
  const clock = over.clock ?? { wallMs: () => 0, monotonicMs: () => performance.now() };
  const never = () => Promise.reject(new Error("nobody is to ask for this"));
  return {
    ...{ clock, steadyMs: () => clock.wallMs(), memory: new PageMemory(clock) },
    about: {
      ...{ version: "0.0.0", node: "gateway", engine: "sqlite", startedMs: 0 },
      toleranceSeconds: 300,
    },
    ...{ unreadiness: () => [], degraded: () => [], broker: { isConnected: true } },
    forwarder: { isBackendFailing: false, stuckLanes: 0, lanes: 0, laneStates: () => [] },
    committer: { pending: 0, fault: undefined },
    ...{ intake: { isPaused: false }, catchUp: { isDone: true }, messages: { counts: never } },
    keys: { refresh: () => Promise.resolve(), known: () => [], find: () => undefined },
    store: UNASKED,
    fileEnds: new Map(),
    openStore: never,
    ...over,
  };
}

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
    sources: pageSources({ clock }),
    unreadiness: () => [],
    degraded: () => [],
    metrics: { text: () => Promise.resolve("x 1\n"), contentType: "text/plain" },
    onRefused: () => {},
    emit: () => {},
    ...over,
  };
}
