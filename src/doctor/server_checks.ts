/** The store's servers, where the store is not a file: whether they keep what they promise to keep. */

import { counted } from "../core/counted.ts";
import { listsBehind } from "../store/known_nodes.ts";
import type { ServerFacts } from "../store/server_facts.ts";
import type { Store } from "../store/store.ts";
import { type Check, type CheckOutcome, fail, pass, type Site, warn } from "./check.ts";

/** A site whose store is open. */
interface SiteWithStore extends Site {
  readonly store: Store;
}

/** The checks; of a site whose store is a file, they have nothing to find. */
export const SERVER_CHECKS: readonly Check<SiteWithStore>[] = [
  { name: "store's servers", look: servers },
  { name: "second server", look: secondServer },
  { name: "other gateways", look: otherGateways },
  { name: "brokers' lists", look: brokersLists },
];

const A_FILE = "the store is a file, for this gateway alone";

/** Seconds by which clocks may differ. */
const SKEW_SECONDS = 2;

/** A transaction that is open for longer keeps the tables growing. */
const OPEN_SECONDS = 600;

async function servers({ store }: SiteWithStore): Promise<CheckOutcome> {
  const facts = await store.facts();
  if (facts === undefined) return pass(A_FILE);
  const { hosts, version } = facts;
  const observed = `PostgreSQL ${version}; ${
    hosts.map(({ name, role }) => `${name} is ${described(role)}`).join(", ")
  }`;
  const ghosts = hosts.filter(({ role }) => role === "former_primary");
  if (ghosts.length > 0) {
    return fail(
      observed,
      `Stop PostgreSQL at ${ghosts[0]!.name}: systemctl stop postgresql; make a standby of it`,
    );
  }
  if (!facts.fsync || !facts.fullPageWrites) {
    return fail(
      `${observed}; fsync or full_page_writes is off`,
      "Set both to on in postgresql.conf at the servers",
    );
  }
  return oddities(facts, observed);
}

function oddities(facts: ServerFacts, observed: string): CheckOutcome {
  const skew = Math.round(facts.aheadMs / 1000);
  const isSkewed = Math.abs(skew) > SKEW_SECONDS;
  const { oldestTransactionSeconds: open, hosts, isSuperuser } = facts;
  if (isSkewed) {
    return warn(
      `${observed}; its clock differs by ${skew} s`,
      "Synchronise the clocks: timedatectl set-ntp true",
    );
  }
  if (open > OPEN_SECONDS) {
    return warn(
      `${observed}; a transaction has been open for ${open} s`,
      "End it: pg_stat_activity names it, and the tables grow until then",
    );
  }
  if (isSuperuser) {
    return warn(
      observed,
      "Name a role in gateway.toml, store.url, that owns its database and has no other rights",
    );
  }
  const away = hosts.filter(({ role }) => role === "unreachable");
  return away.length === 0
    ? pass(observed)
    : warn(observed, `Start PostgreSQL at ${away[0]!.name}, or correct store.url in gateway.toml`);
}

function described(role: ServerFacts["hosts"][number]["role"]): string {
  switch (role) {
    case "primary":
      return "the primary";
    case "standby":
      return "a standby";
    case "former_primary":
      return "a former primary that still takes connections";
    case "unreachable":
      return "not reachable";
    default:
      return role satisfies never;
  }
}

async function secondServer({ store, config }: SiteWithStore): Promise<CheckOutcome> {
  const facts = await store.facts();
  if (facts === undefined) return pass(A_FILE);
  const { synchronousStandbys: names, synchronousCommit: commit, followers, waitedFor } = facts;
  const observed = `synchronous_standby_names is "${names}", synchronous_commit is ${commit}; ` +
    `${counted(followers, "standby follows", "standbys follow")}, ${waitedFor} waited for`;
  if (config.store.server?.isReplicated === false) {
    return warn(
      `${observed}; store.durability is "local"`,
      "For a second server: set store.durability, see the page on PostgreSQL",
    );
  }
  const isOff = names === "" || commit === "off" || commit === "local";
  if (isOff) {
    return fail(
      `${observed}: nothing is taken in`,
      'Set synchronous_standby_names at the primary, or store.durability = "local"',
    );
  }
  return waitedFor > 0 ? pass(observed) : fail(
    `${observed}: nothing is taken in until one is back`,
    "Start the standby: systemctl start postgresql",
  );
}

async function otherGateways({ store, config }: SiteWithStore): Promise<CheckOutcome> {
  const nodes = await store.nodes?.list();
  if (nodes === undefined) return pass(A_FILE);
  const others = nodes.filter(({ node }) => node !== config.node.name);
  const silent = others.filter(({ leftMs }) => leftMs === undefined || leftMs < 0);
  const observed = others.length === 0
    ? "this gateway is the only one"
    : `${counted(others.length, "other gateway")}, ${others.length - silent.length} at work`;
  return silent.length === 0 ? pass(observed) : warn(
    `${observed}; not heard of: ${silent.map(({ node }) => node).join(", ")}`,
    "Start it again; one that never comes back: secure-iot-gateway node remove NAME",
  );
}

async function brokersLists({ store, config }: SiteWithStore): Promise<CheckOutcome> {
  const { nodes, lists } = store;
  if (nodes === undefined || lists === undefined) return pass(A_FILE);
  const { name } = config.node;
  const { newest, used } = await lists.numbers(name);
  if (newest === 0) return pass("no list was made since gateways share the store");
  const behind = listsBehind({ listNumber: used }, newest);
  if (behind > 0) {
    const { fault } = (await lists.uses()).find((one) => one.node === name) ?? {};
    const why = fault === undefined ? "" : `: ${fault}`;
    return fail(
      `this gateway's broker uses ${
        used === undefined ? "no list" : `list ${used}`
      } of the store, ` +
        `the newest is ${newest}${why}`,
      "Run lists follow beside it: systemctl enable --now secure-iot-gateway-lists",
    );
  }
  const late = (await nodes.list()).filter((one) => listsBehind(one, newest) > 0);
  const observed = `this gateway's broker uses list ${newest}, the newest`;
  return late.length === 0 ? pass(observed) : warn(
    `${observed}; not yet: ${late.map(({ node }) => node).join(", ")}`,
    "See there: journalctl -u secure-iot-gateway-lists",
  );
}
