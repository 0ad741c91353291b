/** `lists follow`, `show` and `publish`: the brokers' lists, where gateways share a store. */

import { updateBroker } from "../site/operations/broker_update.ts";
import { numberInPlace } from "../site/operations/follow_lists.ts";
import type { SharedLists } from "../store/shared_lists.ts";
import type { Store } from "../store/store.ts";
import { type JsonOption, printJson, printJsonLine } from "./json_output.ts";
import { type Followed, ListFollower } from "./list_follower.ts";
import { configOf, layoutOf, withStore } from "./open_site.ts";
import { programName } from "./program_name.ts";
import { brokerSentence, failOn, faultSentence } from "./revocation_report.ts";
import { untilStopped } from "./stop_signal.ts";
import { CommandError, note, print, printable } from "./terminal.ts";

/** What `lists follow` may be told. */
interface FollowOptions extends JsonOption {
  readonly once?: true;
}

const NOT_SHARED =
  "The store is a file: device revoke gives its lists to the one broker that there is";

/** Gives this machine's broker the lists in the store, now or whenever there are newer ones. */
export async function followLists(options: FollowOptions): Promise<void> {
  const [layout, config] = [layoutOf(options), configOf(layoutOf(options))];
  await withLists(options, async ({ lists }) => {
    const follower = new ListFollower(lists, { layout, config });
    if (options.once) return sayOnce(await follower.once(), options);
    await untilStopped(async (signal) => {
      note(`note: gateway ${config.node.name} follows the lists in the store`);
      await follower.run(signal, {
        followed: (result) => say(result, options),
        storeFault: (reason) => note(`note: ${printable(reason ?? "the store is back")}`),
      });
    });
  });
}

/** Shows which lists there are, and which of them this machine's broker uses. */
export async function showLists(options: JsonOption): Promise<void> {
  const layout = layoutOf(options);
  const { node } = configOf(layout);
  await withLists(options, async ({ lists }) => {
    const { newest } = await lists.numbers(node.name);
    const inPlace = await numberInPlace(layout);
    const use = (await lists.uses()).find((one) => one.node === node.name);
    const { number, fault } = use ?? {};
    if (options.json) return printJson({ node: node.name, newest, inPlace, used: number, fault });
    print(`newest: ${newest === 0 ? "there are none in the store" : `list ${newest}`}`);
    print(`in place here: list ${inPlace}`);
    print(`proved to be used: ${number === undefined ? "none yet" : `list ${number}`}`);
    if (fault !== undefined) print(`fault: ${printable(fault)}`);
  });
}

/** Makes the lists again, for this site's broker and those of the other gateways. */
export async function publishLists(options: JsonOption): Promise<void> {
  const layout = layoutOf(options);
  const site = { layout, config: configOf(layout), nowMs: Date.now() };
  await withLists(options, async (store) => {
    const { steps, fault } = await updateBroker(store, site);
    if (options.json) printJson({ complete: fault === undefined, steps, fault });
    else for (const step of steps) print(printable(brokerSentence(step)));
    failOn(fault);
    if (!options.json) print("Published the lists");
  });
}

async function withLists(
  options: JsonOption,
  work: (store: Store & { readonly lists: SharedLists }) => Promise<void>,
): Promise<void> {
  await withStore(configOf(layoutOf(options)), async (store) => {
    const { lists } = store;
    if (lists === undefined) throw new CommandError(NOT_SHARED);
    await work({ ...store, lists });
  });
}

function sayOnce(result: Followed | undefined, { json }: JsonOption): void {
  if (result === undefined) {
    throw new CommandError("There are no lists in the store yet", {
      hint: `Where device-ca.key is: ${programName()} lists publish`,
    });
  }
  const { listNumber, steps, fault } = result;
  if (json) printJson({ listNumber, complete: fault === undefined, steps, fault });
  else for (const step of steps) print(printable(brokerSentence(step)));
  failOn(fault);
}

function say({ listNumber, steps, fault }: Followed, { json }: JsonOption): void {
  if (json) return printJsonLine({ listNumber, complete: fault === undefined, steps, fault });
  for (const step of steps) print(`list ${listNumber}: ${printable(brokerSentence(step))}`);
  if (fault === undefined) return print(`list ${listNumber}: in use`);
  const [sentence, hint] = faultSentence(fault);
  note(`error: list ${listNumber}: ${printable(sentence)}`);
  note(`hint: ${printable(hint)}`);
}
