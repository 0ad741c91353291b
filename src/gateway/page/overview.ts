/** `GET /ui/api/overview`: is it well? */

import { secondsOf } from "../../core/time.ts";
import type { ApiKey } from "../../store/api_keys.ts";
import { listsBehind } from "../../store/known_nodes.ts";
import type { DeviceTable } from "./device_table.ts";
import { type Expiry, nextExpiry } from "./expiries.ts";
import type { PageSources } from "./page_sources.ts";

/** What one line and a few numbers say; a key for some devices gets no numbers of the others. */
export async function overview(sources: PageSources, table: DeviceTable, key: ApiKey) {
  const { about, clock, broker, forwarder, committer, intake, catchUp } = sources;
  const unready = sources.unreadiness();
  const next = await nextExpiry(sources, key);
  return {
    version: about.version,
    node: about.node,
    time: secondsOf(clock.wallMs()),
    started: secondsOf(about.startedMs),
    ready: unready.length === 0,
    unready,
    degraded: sources.degraded(),
    broker: { connected: broker.isConnected },
    backend: {
      failing: forwarder.isBackendFailing,
      devices_waiting: key.deviceIds === undefined ? forwarder.lanes : null,
      stuck: key.deviceIds === undefined ? forwarder.stuckLanes : null,
    },
    store: { engine: about.engine, fault: committer.fault ?? null },
    intake: { paused: intake.isPaused, catching_up: !catchUp.isDone },
    ...await countsFor(sources, table, key),
    next_expiry: (next ?? null) satisfies Expiry | null,
    nodes: await nodesOf(sources),
  };
}

async function countsFor(sources: PageSources, table: DeviceTable, key: ApiKey) {
  const devices = (await table.rowsFor(key)).length;
  if (key.deviceIds !== undefined) {
    const none = { waiting: null, dead_letters: null, commands_waiting: null };
    return { counts: { devices, ...none }, oldest_waiting_seconds: null };
  }
  const { committer, messages, steadyMs } = sources;
  const { deadLetters, commandsWaiting, oldestAcceptedMs } = await messages.counts();
  const ageMs = Math.max(0, steadyMs() - oldestAcceptedMs);
  return {
    counts: {
      devices,
      waiting: committer.pending,
      dead_letters: deadLetters,
      commands_waiting: commandsWaiting,
    },
    oldest_waiting_seconds: oldestAcceptedMs === Infinity ? null : secondsOf(ageMs),
  };
}

/** The gateways that share the store; none if this one is alone. */
async function nodesOf({ store: { nodes, lists } }: PageSources) {
  const known = await nodes?.list() ?? [];
  const newest = (await lists?.numbers(""))?.newest ?? 0;
  return known.map((one) => ({
    node: one.node,
    alive: (one.leftMs ?? -1) > 0,
    lease_left_seconds: one.leftMs === undefined ? null : Math.round(one.leftMs / 1000),
    ahead_seconds: one.aheadMs === undefined ? null : one.aheadMs / 1000,
    waiting: one.entries,
    lists_behind: listsBehind(one, newest),
    list_fault: one.listFault ?? null,
  }));
}
