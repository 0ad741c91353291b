/** The API's keys when a gateway starts: the one in a file is imported, and odd states are told. */

import type { Emit } from "../../core/event.ts";
import { StartError } from "../../config/credentials.ts";
import type { ApiKeyStore } from "../../store/api_keys.ts";

/**
 * A site from before its keys were in the store has one in a file, which is taken over as a hash.
 * `digest` is of that file's key, undefined if there is none; `nowMs` is the wall clock. Throws a
 * `StartError`.
 */
export async function importFirstKey(
  keys: ApiKeyStore,
  { digest, file, nowMs, emit }: {
    readonly digest: Uint8Array | undefined;
    readonly file: string;
    readonly nowMs: number;
    readonly emit: Emit;
  },
): Promise<void> {
  try {
    if (digest && await keys.importFirst(digest, nowMs)) emit({ kind: "api_key_imported", file });
  } catch (error) {
    throw new StartError(`Cannot import the API key: ${(error as Error).message}`);
  }
  if (digest && !await keys.has(digest)) emit({ kind: "api_key_unknown", file });
  if ((await keys.current()).length === 0) emit({ kind: "api_key_missing" });
}
