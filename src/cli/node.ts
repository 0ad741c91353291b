/** `node add`, `list` and `remove`: the gateways that share a store. */

import { counted } from "../core/counted.ts";
import { createNode, type NodeFault } from "../site/operations/node_folder.ts";
import { type KnownNode, type KnownNodes, listsBehind } from "../store/known_nodes.ts";
import type { SharedLists } from "../store/shared_lists.ts";
import { type JsonOption, printJson } from "./json_output.ts";
import { configOf, layoutOf, withStore } from "./open_site.ts";
import { programName } from "./program_name.ts";
import { CommandError, note, print, printable } from "./terminal.ts";

/** What `node add` is told. */
interface NodeAddOptions extends JsonOption {
  readonly host: readonly string[];
  readonly at?: string;
  readonly mqttPort?: number;
  readonly gatewayPort?: number;
  readonly apiPort?: number;
}

const NOT_SHARED =
  'The store is a file, which one gateway uses alone: set store.engine = "postgres"';

/** Makes the folder of a further gateway. */
export async function addNode(name: string, options: NodeAddOptions): Promise<void> {
  const layout = layoutOf(options);
  const config = configOf(layout);
  const { broker, devices, api } = config;
  const result = await createNode({
    ...{ layout, config, name, hosts: options.host, at: options.at, nowMs: Date.now() },
    ports: {
      mqtt: options.mqttPort ?? devices.port,
      gateway: options.gatewayPort ?? broker.port,
      api: options.apiPort ?? api.port,
    },
  });
  if (!result.ok) throw new CommandError(result.faults.map(faultSentence));
  const { directory, brokerConfiguration } = result.layout;
  if (options.json) return printJson({ node: name, directory, place: options.at ?? directory });
  print(`Made the folder of gateway ${name}: ${directory}`);
  const place = options.at ?? directory;
  note(`Next, on its machine:
  mosquitto -c ${brokerConfiguration.replace(directory, place)}
  ${programName()} lists follow --dir ${place}
  ${programName()} run --dir ${place}`);
}

/** Shows the gateways that share the store. */
export async function listNodes(options: JsonOption): Promise<void> {
  await withNodes(options, async ({ nodes, lists }) => {
    const list = await nodes.list();
    const { newest } = await lists.numbers("");
    if (options.json) return printJson(list.map((one) => described(one, newest)));
    if (list.length === 0) print("No gateway has worked on this store yet");
    for (const one of list) print(printable(`${sentenceOf(one)}, ${listsOf(one, newest)}`));
  });
}

/** Forgets a gateway that does not come back. */
export async function removeNode(name: string, options: JsonOption): Promise<void> {
  await withNodes(options, async ({ nodes }) => {
    const outcome = await nodes.remove(name);
    switch (outcome) {
      case "removed":
        return options.json ? printJson({ node: name, removed: true }) : print(`Removed ${name}`);
      case "unknown":
        throw new CommandError(`There is no gateway "${printable(name)}"`, {
          hint: "See which there are: secure-iot-gateway node list",
        });
      case "at_work":
        throw new CommandError(`Gateway ${name} is at work: stop it first`);
      case "has_entries":
        throw new CommandError(
          `Gateway ${name} has left entries or commands: another one takes them over as soon as it runs`,
        );
      default:
        return outcome satisfies never;
    }
  });
}

async function withNodes(
  options: JsonOption,
  work: (store: { readonly nodes: KnownNodes; readonly lists: SharedLists }) => Promise<void>,
): Promise<void> {
  await withStore(configOf(layoutOf(options)), async ({ nodes, lists }) => {
    if (nodes === undefined || lists === undefined) throw new CommandError(NOT_SHARED);
    await work({ nodes, lists });
  });
}

function described(one: KnownNode, newest: number) {
  const { node, leftMs, aheadMs, entries, listNumber, listFault } = one;
  return {
    node,
    isAtWork: leftMs !== undefined && leftMs > 0,
    leaseSeconds: leftMs === undefined ? null : leftMs / 1000,
    clockAheadSeconds: aheadMs === undefined ? null : aheadMs / 1000,
    entries,
    listNumber,
    listsBehind: listsBehind(one, newest),
    listFault,
  };
}

function sentenceOf({ node, leftMs, aheadMs = 0, entries }: KnownNode): string {
  const waits = counted(entries, "entry", "entries");
  if (leftMs === undefined) return `${node}: has not begun, ${waits}`;
  const silent = Math.round(-leftMs / 1000);
  const state = leftMs > 0 ? "at work" : `silent for ${silent} s longer than its lease`;
  const clock = Math.round(aheadMs / 1000);
  return `${node}: ${state}, ${waits}, clock ${clock >= 0 ? "+" : ""}${clock} s`;
}

function listsOf(one: KnownNode, newest: number): string {
  const { listNumber, listFault } = one;
  const behind = listsBehind(one, newest);
  const uses = listNumber === undefined ? "uses no list yet" : `uses list ${listNumber}`;
  const why = listFault === undefined ? "" : `: ${listFault}`;
  if (behind > 0) return `${uses}, ${behind} behind${why}`;
  return (newest === 0 ? "there are no lists yet" : uses) + why;
}

function faultSentence(fault: NodeFault): string {
  switch (fault.kind) {
    case "store_not_shared":
      return NOT_SHARED;
    case "name_not_usable":
      return `The name of a gateway ${fault.allowed.replace(", or empty", "")}`;
    case "name_is_own":
      return `This site's own gateway is "${fault.name}"`;
    case "host_not_usable":
      return `${JSON.stringify(fault.host)} is neither a DNS name nor an IP address`;
    case "path_not_usable":
      return `${JSON.stringify(fault.path)} is not an absolute path that Mosquitto can name`;
    case "folder_exists":
      return `"${fault.path}" exists already: take it away first, or choose another name`;
    case "authority_not_usable":
      return `Cannot use the gateways' authority: ${fault.reason}`;
    case "system_refused":
      return `Cannot make the folder: ${fault.reason}`;
    default:
      return fault satisfies never;
  }
}
