/** One part of the bench: what it found, in figures. */

import type { Scale } from "./scale.ts";
import type { Table } from "./table.ts";

/** What is to be reached. */
export type Target = { readonly atLeast: number } | { readonly atMost: number };

/** One figure. */
export interface Figure {
  readonly what: string;
  readonly value: number;
  readonly unit: string;
  readonly target?: Target;
}

/** What a part has found. */
export interface Findings {
  readonly figures: readonly Figure[];
  /** More than fits into figures, to be printed. */
  readonly table?: Table;
  /** What a reader has to know. */
  readonly notes?: readonly string[];
  /** Everything, for the JSON. */
  readonly data: unknown;
}

/** A part of the bench. */
export interface Part {
  readonly name: string;
  readonly purpose: string;
  measure(scale: Scale): Promise<Findings>;
}

/** True where a figure has reached its target, or has none. */
export function isReached({ value, target }: Figure): boolean {
  if (target === undefined) return true;
  return "atLeast" in target ? value >= target.atLeast : value <= target.atMost;
}
