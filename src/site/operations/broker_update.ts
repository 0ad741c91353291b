/**
 * Brings what the registry says to the broker of a site, and where its store is shared waits for those
 * of the other gateways.
 *
 * The rules are:
 * - gateways that are at work are waited for, for a limited time; each is named, and so is one that is
 *   not: its broker may follow all the same, and otherwise does when it is back;
 * - a fault of this site's own broker is said first, and keeps nobody from waiting for the others.
 */

import { setTimeout as pause } from "node:timers/promises";
import { type KnownNode, type KnownNodes, listsBehind } from "../../store/known_nodes.ts";
import { type BrokerAccess, type OpenSite, readBrokerAccess } from "./broker_access.ts";
import { probeCertificate } from "./follow_lists.ts";
import type { BrokerStore } from "./list_publication.ts";
import {
  type EnforceOptions,
  enforceRevocations,
  type RevocationResult,
  type RevocationStep,
} from "./revocation.ts";
import type { RevocationFault } from "./revocation_fault.ts";

/** How long the other gateways have, milliseconds. */
const WAIT_MS = 15_000;

/** The same for those that are not at work, of which only the broker may be. */
const AWAY_WAIT_MS = 4_000;
const POLL_MS = 200;

/** What is done besides. */
interface UpdateOptions extends EnforceOptions {
  /** False: the other gateways are told, and not waited for. */
  readonly waits?: boolean;
}

/** What was done; `nodesLeft` are gateways whose brokers do not use the lists yet. */
interface UpdateResult extends RevocationResult {
  readonly nodesLeft: readonly string[];
}

/** Reads how to reach the broker, then enforces the revocations there; never throws for a site's fault. */
export async function updateBroker(
  store: BrokerStore,
  site: OpenSite,
  options: UpdateOptions = {},
): Promise<UpdateResult> {
  const read = await readBrokerAccess(site);
  if (!read.ok) return { steps: [], fault: read.fault, nodesLeft: [] };
  return await updateBrokers(store, { access: read.access, node: site.config.node.name }, options);
}

/** The same for a broker that can be reached; `node` is this site's own gateway. */
export async function updateBrokers(
  store: BrokerStore,
  { access, node }: { readonly access: BrokerAccess; readonly node: string },
  options: UpdateOptions,
): Promise<UpdateResult> {
  const own = await enforceRevocations(store, access, options);
  const { lists, nodes } = store;
  const number = own.steps.find((step) => step.kind === "lists_published")?.listNumber;
  if (lists === undefined || nodes === undefined || number === undefined) {
    return { ...own, nodesLeft: [] };
  }
  if (own.fault === undefined) {
    const probe = await probeCertificate(access.layout);
    await lists.note({ node, number, fault: undefined, probe });
  }
  if (options.waits === false) return { ...own, nodesLeft: [] };
  const others = await waitForOthers(nodes, { node, number });
  const fault = await isElsewhere(nodes, node, own.fault)
    ? others.fault
    : own.fault ?? others.fault;
  return {
    steps: [...own.steps, ...others.steps],
    ...(fault !== undefined && { fault }),
    nodesLeft: others.left,
  };
}

/** True if there is no broker here to be told: the site is only administered on this machine. */
async function isElsewhere(
  nodes: KnownNodes,
  node: string,
  fault: RevocationFault | undefined,
): Promise<boolean> {
  if (fault?.kind !== "broker_not_running") return false;
  return (await nodes.list()).every((one) => one.node !== node);
}

async function waitForOthers(
  nodes: KnownNodes,
  { node, number }: { readonly node: string; readonly number: number },
): Promise<{
  readonly steps: readonly RevocationStep[];
  readonly left: readonly string[];
  readonly fault?: RevocationFault;
}> {
  const beganMs = performance.now();
  const isBehind = (one: KnownNode) => listsBehind(one, number) > 0;
  const isAtWork = ({ leftMs = 0 }: KnownNode) => leftMs > 0;
  for (;;) {
    const others = (await nodes.list()).filter((one) => one.node !== node);
    const left = others.filter(isBehind);
    const late = left.filter(isAtWork).map((one) => one.node);
    const waitMs = late.length > 0 ? WAIT_MS : left.length > 0 ? AWAY_WAIT_MS : 0;
    if (performance.now() - beganMs < waitMs) {
      await pause(POLL_MS);
      continue;
    }
    return {
      steps: others.map((one) => isBehind(one) ? lagOf(one, isAtWork(one)) : followed(one)),
      left: left.map((one) => one.node),
      ...(late.length > 0 && {
        fault: { kind: "nodes_behind", listNumber: number, nodes: late },
      }),
    };
  }
}

function followed({ node, listNumber = 0 }: KnownNode): RevocationStep {
  return { kind: "node_follows", node, listNumber };
}

function lagOf({ node, listNumber, listFault }: KnownNode, isAtWork: boolean): RevocationStep {
  return {
    kind: isAtWork ? "node_behind" : "node_away",
    node,
    ...(listNumber !== undefined && { listNumber }),
    ...(listFault !== undefined && { reason: listFault }),
  };
}
