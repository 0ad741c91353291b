/**
 * What every engine behind the store's port must do. `storeContract` puts an engine under all of it;
 * what only one engine does (files, pages, migrations) is tested beside that engine.
 */

import { API_KEYS_CONTRACT } from "./api_keys_contract.ts";
import { AUDIT_CONTRACT } from "./audit_contract.ts";
import { COMMANDS_CONTRACT } from "./commands_contract.ts";
import type { WithStore } from "./contract.ts";
import { DEAD_LETTERS_CONTRACT } from "./dead_letters_contract.ts";
import { MESSAGES_CONTRACT } from "./messages_contract.ts";
import { OUTBOX_CONTRACT } from "./outbox_contract.ts";
import { REGISTRY_CONTRACT } from "./registry_contract.ts";
import { SEALING_CONTRACT } from "./sealing_contract.ts";

/** Registers every claim as a test of the engine that `withStore` opens. */
export function storeContract(name: string, withStore: WithStore): void {
  const claims = {
    ...MESSAGES_CONTRACT,
    ...COMMANDS_CONTRACT,
    ...REGISTRY_CONTRACT,
    ...OUTBOX_CONTRACT,
    ...DEAD_LETTERS_CONTRACT,
    ...API_KEYS_CONTRACT,
    ...AUDIT_CONTRACT,
    ...SEALING_CONTRACT,
  };
  for (const [claim, work] of Object.entries(claims)) {
    Deno.test(`${name}: ${claim}`, () => withStore(work));
  }
}
