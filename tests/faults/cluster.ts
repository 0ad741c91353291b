/**
 * Several gateways on one store, while gateways, machines and the store's primary die, hang and come
 * back, and devices go from one to another.
 */

import { setTimeout as pause } from "node:timers/promises";
import { findPostgres } from "../../src/demo/sandbox/postgres_server.ts";
import { freeze } from "../support/temporary_postgres.ts";
import { type ClusterNode, ClusterSite } from "./cluster_site.ts";
import { Dice } from "./dice.ts";
import type { Findings, Scenario, ScenarioOptions } from "./scenario.ts";

const DEVICES = 12;

/** How long a dead node stays away, at most: often until the others have taken over. */
const AWAY_MAX_MS = 4_000;

/** Longer than the lease. */
const FROZEN_MS = 3_500;

/** Between two answers that are lost, at most. */
const ANSWER_LOST_MAX_MS = 300;

/** What is done to a site; resolves when everything is there again. */
type Fault = (site: ClusterSite, dice: Dice) => Promise<void>;

/** One of the nodes, while another one is there. */
function anyNode({ nodes }: ClusterSite, dice: Dice): ClusterNode {
  return dice.pick(nodes);
}

async function gatewayDies(site: ClusterSite, dice: Dice): Promise<void> {
  const node = anyNode(site, dice);
  await node.killGateway();
  await pause(dice.below(AWAY_MAX_MS));
  await node.start();
}

async function machineDies(site: ClusterSite, dice: Dice): Promise<void> {
  const node = anyNode(site, dice);
  await node.kill();
  site.fleet.doubt();
  await pause(dice.below(AWAY_MAX_MS));
  await node.start();
}

/** Devices go elsewhere meanwhile: what it has of them is older than what they send there. */
async function gatewayHangs(site: ClusterSite, dice: Dice): Promise<void> {
  const hangs = anyNode(site, dice).freeze(FROZEN_MS);
  for (let i = 0; i < 3; i++) {
    await pause(FROZEN_MS / 4);
    site.balancer.shake(2);
  }
  await hangs;
}

async function devicesMove({ balancer }: ClusterSite): Promise<void> {
  for (let i = 0; i < 5; i++) {
    balancer.shake(3);
    await pause(300);
  }
}

async function primaryDies({ postgres }: ClusterSite): Promise<void> {
  await postgres.failOver();
  await postgres.addStandby();
}

async function nodeIsCutOff(site: ClusterSite, dice: Dice): Promise<void> {
  await anyNode(site, dice).cutOff(FROZEN_MS);
}

/** What was committed, and nobody hears of it. */
async function answersAreLost(site: ClusterSite, dice: Dice): Promise<void> {
  for (let i = 0; i < 10; i++) {
    for (const line of anyNode(site, dice).lines) line.eats = true;
    await pause(dice.below(ANSWER_LOST_MAX_MS));
  }
}

/** No commit ends meanwhile, and every lease is over after it. */
async function standbyHangs({ postgres }: ClusterSite): Promise<void> {
  const thaw = await freeze(postgres.standby!);
  await pause(FROZEN_MS);
  thaw();
}

/** It is promoted away while it hangs, and comes back as what it was. */
async function primaryHangs({ postgres }: ClusterSite): Promise<void> {
  const thaw = await freeze(postgres.primary);
  const former = await postgres.promote();
  thaw();
  await pause(2_000); // what hung there goes on, and must not count
  await former.kill();
  await postgres.addStandby();
}

/** Two nodes in the tests, three at length. */
export const CLUSTER: readonly Scenario[] = findPostgres() === undefined ? [] : [
  scenario("cluster: gateways and machines die", [gatewayDies, machineDies, devicesMove]),
  scenario("cluster: gateways hang, and devices move", [gatewayHangs, devicesMove]),
  scenario("cluster: the primary dies", [primaryDies, gatewayDies]),
  scenario("cluster: the primary hangs, and is replaced", [primaryHangs]),
  scenario("cluster: nodes are cut off, and answers are lost", [
    nodeIsCutOff,
    answersAreLost,
    standbyHangs,
  ]),
];

function scenario(name: string, faults: readonly Fault[]): Scenario {
  return { name, run: (options) => run(faults, options) };
}

async function run(faults: readonly Fault[], options: ScenarioOptions): Promise<Findings> {
  const { long, seed, say } = options;
  const dice = new Dice(seed);
  const rounds = long ? 5 * faults.length : faults.length;
  return await ClusterSite.with({ seed, nodes: long ? 3 : 2, devices: DEVICES }, async (site) => {
    let longestMs = 0;
    for (let round = 0; round < rounds; round++) {
      await site.flowing();
      await faults[round % faults.length]!(site, dice);
      const sinceMs = performance.now();
      await site.flowing();
      longestMs = Math.max(longestMs, performance.now() - sinceMs);
      say?.(`${round + 1} of ${rounds} faults`);
    }
    const figures = await site.judge();
    const seconds = (longestMs / 1000).toFixed(1);
    return { ...figures, note: `${rounds} faults; flowing again after ${seconds} s at worst` };
  });
}
