/** `dead list`, `show`, `retry` and `drop`: what could not be delivered. */

import { Buffer } from "node:buffer";
import {
  DeadLetters,
  type DeadLetterSummary,
  type Extent,
  type Selection,
} from "../edge/dead_letters.ts";
import { Registry } from "../edge/registry.ts";
import { type Store, StoreError } from "../edge/store.ts";
import { unknownDevice } from "./device.ts";
import { configOf, layoutOf, type SiteOption, withStore } from "./site.ts";
import { EXIT, Failure, printable, say } from "./voice.ts";

/** Which dead letters `retry` and `drop` are to take, besides a single one's ID. */
export interface SelectionOptions extends SiteOption {
  readonly device?: string;
  readonly all?: true;
}

/** Lists every dead letter, the one that died first on top; never a payload. */
export async function listDeadLetters(
  options: SiteOption & { readonly json?: true },
): Promise<void> {
  await withDeadLetters(options, (letters) => {
    if (options.json) sayArray(letters.list());
    else sayTable(letters.list(), letters.extent());
  });
}

/** Shows one dead letter with its payload, as the backend got it. */
export async function showDeadLetter(
  id: string,
  options: SiteOption & { readonly json?: true },
): Promise<void> {
  const sequence = sequenceOf(id);
  const letter = await withDeadLetters(options, (letters) => letters.find(sequence));
  if (!letter) throw unknownDeadLetter(id);
  const payload = textOf(letter.payload);
  const description = {
    ...describe(letter),
    payload: payload ?? null,
    payload_base64: payload === undefined ? Buffer.from(letter.payload).toString("base64") : null,
  };
  const lines = options.json
    ? JSON.stringify(description, null, 2).split("\n")
    : Object.entries(description).filter(([, value]) => value !== null || payload === undefined)
      .map(fieldLine);
  for (const line of lines) say(printable(line));
}

/** Puts dead letters back into the outbox; a gateway that runs sends them in their turn. */
export async function retryDeadLetters(
  id: string | undefined,
  options: SelectionOptions,
): Promise<void> {
  const count = await take(
    selectionOf(id, options),
    options,
    (letters, selection) => letters.retry(selection, Date.now()),
  );
  say(`Put ${amount(count)} back into the outbox`);
}

/** Drops dead letters for good. */
export async function dropDeadLetters(
  id: string | undefined,
  options: SelectionOptions,
): Promise<void> {
  const count = await take(
    selectionOf(id, options),
    options,
    (letters, selection) => letters.drop(selection),
  );
  say(`Dropped ${amount(count)}`);
}
