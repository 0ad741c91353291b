/** One step of signing, done right or wrong. */

/** Most mistakes that are looked for in one signature. */
export const MISTAKES_MAX = 3;

/** A way to do one step of signing. */
export interface Way<T> {
  readonly value: T;
  /** A sentence each; empty if it is the right way. */
  readonly mistakes: readonly string[];
  /** How unlikely it is: the number of mistakes, or `MISTAKES_MAX` for what comes in great numbers. */
  readonly weight: number;
}

/** The right way. */
export function right<T>(value: T): Way<T> {
  return { value, mistakes: [], weight: 0 };
}

/** A mistake. */
export function wrong<T>(value: T, mistake: string, options: { weight?: number } = {}): Way<T> {
  return { value, mistakes: [mistake], weight: options.weight ?? 1 };
}
