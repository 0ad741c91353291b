/** The API of the page on a real store, without a broker and a backend. */

import { apiKeyDigest } from "../../src/config/credentials.ts";
import type { GatewayEvent } from "../../src/core/event.ts";
import { BearerAuth } from "../../src/gateway/api/bearer_auth.ts";
import { createRoutes } from "../../src/gateway/api/routes.ts";
import type { LaneState } from "../../src/gateway/pipeline/lanes.ts";
import { PageMemory } from "../../src/gateway/page/page_memory.ts";
import { EventFeed } from "../../src/gateway/telemetry/event_feed.ts";
import type { ApiKeyRole } from "../../src/store/api_keys.ts";
import { DeviceKeys } from "../../src/store/device_keys.ts";
import { openStore } from "../../src/store/open_store.ts";
import type { Store } from "../../src/store/store.ts";
import { apiParts, pageSources } from "./api_parts.ts";
import { NOW } from "./judge.ts";
import { MESSAGES_KEPT } from "./pipeline_store.ts";
import { withFolder } from "./with_folder.ts";

/** What a test asks, and what it sees. */
export interface PageApi {
  readonly store: Store;
  readonly memory: PageMemory;
  readonly feed: EventFeed;
  readonly events: GatewayEvent[];
  readonly lanes: LaneState[];
  readonly fileEnds: Map<string, number>;
  /** The time, for what is kept and what ends, milliseconds. */
  readonly clock: { ms: number; wallMs(): number; monotonicMs(): number };
  /** Makes a key; resolves to its text, which is `NAME key`. */
  addKey(name: string, role: ApiKeyRole, deviceIds?: readonly string[]): Promise<string>;
  /** Asks with a key, or with none. */
  ask(path: string, init?: PageRequest): Promise<Response>;
  /** The JSON of an answer that must be 200. */
  json(path: string, init?: PageRequest): Promise<Record<string, unknown>>;
  /** Logs in with a key; resolves to the cookie. */
  logIn(key: string): Promise<string>;
}

/** A request; `body` is made JSON. */
export interface PageRequest {
  readonly key?: string;
  readonly cookie?: string;
  /** `same-origin` if it is not given; null: the browser does not say. */
  readonly site?: string | null;
  readonly method?: string;
  readonly type?: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly address?: string;
}

/** Runs `work` with devices that are registered, at the moment `NOW`. */
export async function withPageApi(
  deviceIds: readonly string[],
  work: (api: PageApi) => Promise<void>,
): Promise<void> {
  await withFolder(async (folder) => {
    const place = { database: `${folder}/gateway.db` };
    const store = await openStore(place, { author: "gateway", create: true });
    await store.registry.addAll(
      deviceIds.map((deviceId) => ({ deviceId, sharedSecret: `of ${deviceId}`, createdAt: 1 })),
    );
    const openBeside = () => openStore(place, { author: "gateway" });
    try {
      await work(await apiOn(store, openBeside));
    } finally {
      await store.close();
    }
  });
}

async function apiOn(store: Store, openBeside: () => Promise<Store>): Promise<PageApi> {
  const clock = { ms: 1e6, wallMs: () => NOW * 1000, monotonicMs: () => clock.ms };
  const events: GatewayEvent[] = [];
  const lanes: LaneState[] = [];
  const fileEnds = new Map<string, number>();
  const memory = new PageMemory(clock);
  const feed = new EventFeed(clock, "run");
  const keys = await DeviceKeys.load(store.registry);
  const forwarder = { isBackendFailing: false, stuckLanes: 0, lanes: 0, laneStates: () => lanes };
  const sources = pageSources({
    ...{ clock, keys, store, memory, fileEnds, forwarder, openStore: openBeside },
    messages: store.messages(MESSAGES_KEPT),
  });
  const handler = createRoutes(apiParts({
    ...{ clock, sources, feed, keys, commands: store.commands },
    auth: new BearerAuth(() => store.apiKeys.current(), clock),
    emit: (event) => events.push(event),
  }));
  const ask = (path: string, request: PageRequest = {}) =>
    handler(requestOf(path, request), request.address ?? "192.0.2.1");
  return {
    ...{ store, memory, feed, events, lanes, fileEnds, clock, ask },
    addKey: async (name, role, deviceIds) => {
      await store.apiKeys.add(apiKeyDigest(`${name}-key`), { name, createdAt: 1, role, deviceIds });
      return `${name}-key`;
    },
    json: async (path, request) => {
      const response = await ask(path, request);
      const text = await response.text();
      if (response.status !== 200) throw new Error(`${path}: ${response.status} ${text}`);
      return JSON.parse(text);
    },
    logIn: async (key) => {
      const response = await ask("/ui/api/session", { method: "POST", body: { key } });
      const cookie = response.headers.get("set-cookie")?.split(";")[0];
      if (cookie === undefined) throw new Error(`${response.status} ${await response.text()}`);
      return cookie;
    },
  };
}

function requestOf(path: string, request: PageRequest): Request {
  const { key, cookie, method = "GET", type = "application/json", body } = request;
  const site = request.site === undefined ? "same-origin" : request.site;
  return new Request(`https://gateway.example${path}`, {
    method,
    headers: {
      ...(key !== undefined && { authorization: `Bearer ${key}` }),
      ...(cookie !== undefined && { cookie }),
      ...(site !== null && { "sec-fetch-site": site }),
      ...(method !== "GET" && { "content-type": type }),
      ...request.headers,
    },
    ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
}
