/** What a checker has found. */

/** How many of a kind of violation are told one by one. */
const TOLD_MAX = 5;

/** Violations by kind: the first few of each in words, the rest as a number. */
export class Violations {
  readonly #byKind = new Map<string, string[]>();

  add(kind: string, what: string): void {
    const list = this.#byKind.get(kind) ?? [];
    list.push(what);
    this.#byKind.set(kind, list);
  }

  list(): string[] {
    return [...this.#byKind].flatMap(([kind, list]) => {
      const told = list.slice(0, TOLD_MAX).map((what) => `${kind}: ${what}`);
      const rest = list.length - told.length;
      return rest > 0 ? [...told, `${kind}: and ${rest} more`] : told;
    });
  }
}
