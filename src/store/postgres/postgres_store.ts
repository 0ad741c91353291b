/** A store in PostgreSQL, which several gateways may share; each works as a node of its own. */

import { readSealingKeys } from "../sealing_keys.ts";
import { SiteSealing } from "../site_sealing.ts";
import type { Store, StoreOptions } from "../store.ts";
import { PostgresApiKeys } from "./api_keys.ts";
import { PostgresAudit } from "./audit_log.ts";
import { PostgresCommands } from "./command_rows.ts";
import { Connection } from "./connection.ts";
import { PostgresDeadLetters } from "./dead_letters.ts";
import { serverFacts } from "./facts.ts";
import { PostgresKnownNodes } from "./known_nodes.ts";
import { PostgresMessages, storeMarks } from "./messages.ts";
import type { PostgresPlace } from "../store_place.ts";
import { PostgresRegistry } from "./registry.ts";
import { PostgresReplayIds } from "./replay_ids.ts";
import { migrate, requireSchema } from "./schema.ts";
import { PostgresSecrets } from "./sealing.ts";
import { PostgresLists } from "./shared_lists.ts";
import { PostgresTemporaryDevices } from "./temporary_devices.ts";
import { PostgresOutbox } from "./waiting_entries.ts";

/** Opens the store; rejects with a `StoreError`. */
export async function openPostgresStore(
  place: PostgresPlace,
  { author, create }: StoreOptions,
): Promise<Store> {
  const sealingKeys = place.sealingKey ? readSealingKeys(place.sealingKey) : [];
  const { node } = place;
  const shared = { author, seen: { timeline: 0 } };
  const rest = new Connection(place, { ...shared, purpose: `${author} ${node}` });
  const intake = new Connection(place, { ...shared, purpose: `intake ${node}`, isSingle: true });
  const seen = { revision: undefined };
  const close = async () => {
    await intake.close();
    await rest.close();
  };
  try {
    if (create) await migrate(rest);
    else await requireSchema(rest);
  } catch (error) {
    await close();
    throw error;
  }
  return {
    messages: (limits) => new PostgresMessages({ intake, rest, place, seen }, limits),
    nodes: new PostgresKnownNodes(rest),
    lists: new PostgresLists(rest),
    registry: new PostgresRegistry(rest, sealingKeys, seen),
    replayIds: new PostgresReplayIds(rest),
    outbox: new PostgresOutbox(rest),
    deadLetters: new PostgresDeadLetters(rest),
    commands: new PostgresCommands(rest),
    apiKeys: new PostgresApiKeys(rest),
    audit: new PostgresAudit(rest),
    sealing: new SiteSealing(new PostgresSecrets(rest)),
    temporaryDevices: new PostgresTemporaryDevices(rest),
    facts: () => serverFacts(place, rest),
    marks: () => storeMarks((text, values) => rest.query(text, values), node),
    close,
  };
}
