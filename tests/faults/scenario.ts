/** What every fault scenario is: a name, and a run that ends in figures. */

import type { Figures } from "./checker.ts";

/** How a scenario is run. */
export interface ScenarioOptions {
  /** True: as thorough as `deno task faults` is; false: a few seconds, for the tests. */
  readonly long: boolean;
  /** Chance comes from it, and from nothing else. */
  readonly seed: number;
  /** Told how far it is. */
  readonly say?: (progress: string) => void;
}

/** What a run has shown; `note` is the scenario's own finding, such as the slowest recovery. */
export type Findings = Figures & { readonly note: string };

/** One fault, or a family of them. */
export interface Scenario {
  readonly name: string;
  /** It measures time: nothing else may run beside it. */
  readonly alone?: boolean;
  run(options: ScenarioOptions): Promise<Findings>;
}
