/** The gateway dies by SIGKILL while it sends batches to a backend that answers by chance. */

import { setTimeout as pause } from "node:timers/promises";
import type { Reading } from "../../src/demo/sandbox/sample_backend.ts";
import { answerItems, itemsOf } from "../support/batch_backend.ts";
import { Dice } from "./dice.ts";
import { type FaultSite, withFaultSite } from "./fault_site.ts";
import { Recoveries } from "./recoveries.ts";
import type { Findings, Scenario, ScenarioOptions } from "./scenario.ts";

const FLEET = { devices: 8, everyMs: 30 };
const TIMEOUT_MS = 500;

/** How long a new life may take to forward, its own start included. */
const RECOVERY_MAX_MS = 5_000;

/** Longest life of a gateway once it forwards. */
const LIFE_MAX_MS = 800;

/** What an answer takes, at most, where the backend is not at a stand. */
const ANSWER_MAX_MS = 40;

/** Batches larger than this are refused now and then. */
const SMALL_BATCH = 3;

/** Nothing is lost, swapped or changed, and each device gets its own answers. */
export const BATCHES: Scenario = {
  name: "gateway killed while it sends batches",
  run: async (options) =>
    await withFaultSite((site) => killAtRandom(site, options), {
      fleet: { ...FLEET, seed: options.seed },
      settings: { BACKEND_BATCH_MAX: "50", BACKEND_TIMEOUT: `${TIMEOUT_MS}ms` },
    }),
};

async function killAtRandom(site: FaultSite, options: ScenarioOptions): Promise<Findings> {
  const deaths = options.long ? 60 : 3;
  const dice = new Dice(options.seed);
  const recoveries = new Recoveries(RECOVERY_MAX_MS, options);
  const answers: Promise<Response>[] = [];
  site.beforeAnswer = (reading) => {
    const answer = answerByChance(reading, dice);
    answers.push(answer);
    return answer;
  };
  await site.start();
  for (let death = 1; death <= deaths; death++) {
    await pause(dice.below(LIFE_MAX_MS));
    if (dice.below(4) === 0) site.fleet.dropOne();
    await site.killGateway();
    site.beginGateway();
    await recoveries.take(site);
    if (death % 20 === 0) options.say?.(`${death} of ${deaths} deaths; ${recoveries}`);
  }
  site.beforeAnswer = takeAll;
  const figures = await site.judge();
  await Promise.all(answers); // some of them nobody waits for any longer
  const { received } = site.live.backend;
  const largest = Math.max(...received.map((reading) => itemsOf(reading).length));
  if (largest < 2) site.violations.push("No batch had two readings");
  const note = `${deaths} deaths; ${received.length} batches, the largest of ${largest}`;
  return { ...figures, note: `${note}; ${recoveries}` };
}

/** All that a backend may say to a batch, most often that it takes it. */
async function answerByChance(reading: Reading, dice: Dice): Promise<Response> {
  await pause(dice.below(ANSWER_MAX_MS));
  const isLarge = itemsOf(reading).length > SMALL_BATCH;
  switch (dice.below(40)) {
    case 0:
      return new Response("busy", { status: 503 });
    case 1:
      return isLarge ? new Response("too large", { status: 413 }) : takeAll(reading);
    case 2:
      return new Response("taken");
    case 3:
      return new Response((await takeAll(reading).text()).slice(0, -2));
    case 4:
      await pause(2 * TIMEOUT_MS);
      return takeAll(reading);
    default:
      return answerItems(reading, ({ message_id: body }) => {
        const chance = dice.below(60);
        if (chance === 0) return undefined;
        return { status: chance === 1 ? 503 : chance === 2 ? 422 : 200, body };
      });
  }
}

function takeAll(reading: Reading): Response {
  return answerItems(reading, ({ message_id: body }) => ({ status: 200, body }));
}
