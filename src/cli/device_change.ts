/** What `device revoke`, `restore` and `remove` have in common: one device is changed, step by step. */

import type { OpenSite } from "../site/operations/broker_access.ts";
import type { BrokerStore } from "../site/operations/list_publication.ts";
import type { RevocationFault } from "../site/operations/revocation_fault.ts";
import { configOf, layoutOf, withStore } from "./open_site.ts";
import { failOn } from "./revocation_report.ts";
import { type JsonOption, printJson } from "./json_output.ts";
import { print, printable } from "./terminal.ts";
import { unknownDevice } from "./unknown_device.ts";

/** What was done, in order, or that there is no such device. */
type Changed<Step> =
  | { readonly found: false }
  | { readonly found: true; readonly steps: readonly Step[]; readonly fault?: RevocationFault };

/** What is done, and what is said of it. */
interface Change<Step> {
  work(store: BrokerStore, site: OpenSite): Promise<Changed<Step>>;
  sentenceOf(step: Step): string;
  /** What holds although the broker was not told. */
  readonly consolation: string;
  readonly done: string;
}

/** Makes a change and prints its steps; fails for an unknown device, or with what is left to do. */
export async function changeDevice<Step>(
  deviceId: string,
  options: JsonOption,
  { work, sentenceOf, consolation, done }: Change<Step>,
): Promise<void> {
  const layout = layoutOf(options);
  const config = configOf(layout);
  const site = { layout, config, nowMs: Date.now() };
  const result = await withStore(config, (store) => work(store, site));
  if (!result.found) throw unknownDevice(deviceId);
  const { steps, fault } = result;
  if (options.json) {
    printJson({ deviceId, complete: fault === undefined, steps, fault });
    return failOn(fault);
  }
  for (const step of steps) print(printable(sentenceOf(step)));
  failOn(fault, consolation);
  print(done);
}
