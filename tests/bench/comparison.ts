/** Two rates measured in turns, so that a noisy machine is noisy for both. */

import type { Figure } from "./part.ts";
import { median } from "./statistics.ts";

/** A rate with its name. */
export interface Side {
  readonly what: string;
  /** Messages a second. */
  rate(): Promise<number>;
}

/** What a comparison gives. */
export interface Comparison {
  readonly figures: readonly Figure[];
  /** Of each side, in the order of the rounds. */
  readonly rates: readonly (readonly number[])[];
}

/** Measures two sides so many times in turns; the first is to reach a share of the second. */
export async function compare(
  sides: readonly [one: Side, other: Side],
  { rounds, atLeast }: { rounds: number; atLeast: number },
): Promise<Comparison> {
  const rates: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    // In both orders: who comes second finds another machine.
    for (const i of round % 2 === 0 ? [0, 1] : [1, 0]) {
      rates[i]!.push(await sides[i]!.rate());
    }
  }
  const ratio = median(rates[0].map((one, round) => one / rates[1][round]!));
  const figures: Figure[] = [
    ...sides.map(({ what }, i) => ({ what, value: median(rates[i]!), unit: "messages/s" })),
    { what: "of that", value: 100 * ratio, unit: "%", target: { atLeast: 100 * atLeast } },
  ];
  return { figures, rates };
}
