/** The store as a running gateway needs it. */

import type { Config } from "../config/config.ts";
import type { StoreCredentials } from "../config/credentials.ts";
import type { MessageStore } from "../core/ports.ts";
import { DeviceKeys } from "./device_keys.ts";
import { openStore } from "./open_store.ts";
import type { Store } from "./store.ts";
import { storePlaceOf } from "./store_place.ts";

/** How long the gateway waits for another process's write before it tries a batch again. */
const STORE_BUSY_MS = 200;

/** What a gateway has open. */
interface GatewayStore extends
  Pick<
    Store,
    | "registry"
    | "apiKeys"
    | "audit"
    | "commands"
    | "deadLetters"
    | "nodes"
    | "lists"
    | "close"
  > {
  readonly messages: MessageStore;
  readonly keys: DeviceKeys;
}

/**
 * Opens the store of a site beside its gateway, for a change that the gateway is to hear of as of any
 * other program's; without what opens secrets. Rejects with a `StoreError`.
 */
export async function openBesideGateway(
  config: Config,
  credentials: StoreCredentials | undefined,
): Promise<Store> {
  const { sealingKey: _, ...place } = storePlaceOf(config, credentials);
  return await openStore(place, { author: "gateway", busyTimeoutMs: STORE_BUSY_MS });
}

/** Opens the store of a site for its gateway; throws a `StoreError`. */
export async function openGatewayStore(
  config: Config,
  credentials: StoreCredentials | undefined,
): Promise<GatewayStore> {
  const store = await openStore(storePlaceOf(config, credentials), {
    author: "gateway",
    busyTimeoutMs: STORE_BUSY_MS,
    secureDelete: "FAST", // it writes no secrets, and payloads come and go
  });
  try {
    const { registry, apiKeys, audit, commands, deadLetters, nodes, lists } = store;
    const keys = await DeviceKeys.load(registry);
    const messages = store.messages(config);
    const close = () => store.close();
    return {
      ...{ registry, apiKeys, audit, commands, deadLetters, nodes, lists, messages, keys, close },
    };
  } catch (error) {
    await store.close();
    throw error;
  }
}
