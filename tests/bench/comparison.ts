/** Two rates measured in turns, so that a noisy machine is noisy for both. */

import type { Figure } from "./part.ts";
import { median } from "./statistics.ts";

/** What is measured, with its name. */
export interface Side {
  readonly what: string;
  measure(): Promise<Rate>;
}

/** How fast something went, and what it cost. */
export interface Rate {
  /** Messages a second. */
  readonly perSecond: number;
  /** The gateway's CPU time a message, which a busy machine changes less than the rate. */
  readonly cpuMicros: number;
}

/** What a comparison gives. */
export interface Comparison {
  readonly figures: readonly Figure[];
  /** Of each side, in the order of the rounds. */
  readonly rates: readonly (readonly Rate[])[];
}

/** Measures two sides so many times in turns; the first is to reach a share of the second. */
export async function compare(
  sides: readonly [one: Side, other: Side],
  { rounds, atLeast }: { rounds: number; atLeast: number },
): Promise<Comparison> {
  const rates: [Rate[], Rate[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    // In both orders: who comes second finds another machine.
    for (const i of round % 2 === 0 ? [0, 1] : [1, 0]) {
      rates[i]!.push(await sides[i]!.measure());
    }
  }
  const [ones, others] = rates;
  const ratio = median(ones.map(({ perSecond }, round) => perSecond / others[round]!.perSecond));
  const figures = [
    ...sides.flatMap(({ what }, i) => figuresOf(what, rates[i]!)),
    { what: "of that", value: 100 * ratio, unit: "%", target: { atLeast: 100 * atLeast } },
  ];
  return { figures, rates };
}

function figuresOf(what: string, rates: readonly Rate[]): Figure[] {
  const perSecond = median(rates.map(({ perSecond }) => perSecond));
  const cpuMicros = median(rates.map(({ cpuMicros }) => cpuMicros));
  return [
    { what, value: perSecond, unit: "messages/s" },
    { what: "CPU time of the gateway", value: cpuMicros, unit: "µs a message" },
  ];
}
