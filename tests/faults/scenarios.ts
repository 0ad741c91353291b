/** Every fault there is, in the order of the table. */

import { BATCHES } from "./batches.ts";
import { LINK_FAULTS } from "./link_faults.ts";
import { BACKEND_FAULTS } from "./backend_faults.ts";
import { CLUSTER } from "./cluster.ts";
import { COMMANDS } from "./commands.ts";
import { EVERYTHING } from "./everything.ts";
import { FLOOD } from "./flood.ts";
import { HOSTILE_ANSWER_COST } from "./hostile_answers.ts";
import { KITS } from "./kits.ts";
import { KILLED_GATEWAY } from "./killed_gateway.ts";
import { MUTANTS } from "./mutants.ts";
import { OVERLOADS, PILES } from "./overload.ts";
import type { Scenario } from "./scenario.ts";

/** One line for each module. */
export const SCENARIOS: readonly Scenario[] = [
  ...KILLED_GATEWAY,
  BATCHES,
  COMMANDS,
  ...CLUSTER,
  ...KITS,
  ...LINK_FAULTS,
  BACKEND_FAULTS,
  HOSTILE_ANSWER_COST,
  ...OVERLOADS,
  ...PILES,
  EVERYTHING,
  FLOOD,
  MUTANTS,
];
