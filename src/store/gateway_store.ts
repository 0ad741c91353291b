/** The store as a running gateway needs it. */

import type { Config } from "../config/config.ts";
import type { MessageStore } from "../core/ports.ts";
import { DeviceKeys } from "./key_ring.ts";
import { readSealingKeys } from "./sealing_keys.ts";
import { ApiKeys } from "./sqlite/api_keys.ts";
import type { AuditHead } from "./sqlite/audit_chain.ts";
import { Database } from "./sqlite/database.ts";
import { SqliteMessages } from "./sqlite/messages.ts";
import { Registry } from "./sqlite/registry.ts";

/** How long the gateway waits for another process's write before it tries a batch again. */
const STORE_BUSY_MS = 200;

/** What a gateway has open. */
export interface GatewayStore {
  readonly messages: MessageStore;
  readonly keys: DeviceKeys;
  readonly apiKeys: ApiKeys;
  /** Active devices, and the end of their newest certificate. */
  certificateEnds(): Promise<readonly { readonly deviceId: string; readonly notAfter: number }[]>;
  auditHead(): Promise<AuditHead>;
  close(): void;
}

/** Opens the store of a site for its gateway; throws a `StoreError`. */
export async function openGatewayStore(config: Config): Promise<GatewayStore> {
  const sealingKeys = readSealingKeys(config.store.sealingKey);
  const database = new Database(config.store.database, {
    synchronous: config.store.synchronous,
    author: "gateway",
    busyTimeoutMs: STORE_BUSY_MS,
    secureDelete: "FAST", // it writes no secrets, and payloads come and go
  });
  const registry = new Registry(database, sealingKeys);
  return await Promise.resolve({
    messages: new SqliteMessages(database, config),
    keys: new DeviceKeys(database, registry),
    apiKeys: new ApiKeys(database),
    certificateEnds: () => Promise.resolve(registry.certificateEnds()),
    auditHead: () => Promise.resolve(database.audit.head()),
    close: () => database.close(),
  });
}
