/** "Did you mean": the known name that is closest to a misspelt one. */

/** Edits beyond which a name is not a slip of another. */
const EDITS_MAX = 3;

/** The closest of `names`, or undefined if none is close enough. */
export function closestName(misspelt: string, names: readonly string[]): string | undefined {
  const wanted = misspelt.slice(0, 100);
  const limit = Math.min(EDITS_MAX, Math.ceil(wanted.length / 3));
  let best: { name: string; edits: number } | undefined;
  for (const name of names) {
    const edits = editDistance(wanted.toLowerCase(), name.toLowerCase());
    if (edits <= limit && edits < (best?.edits ?? Infinity)) best = { name, edits };
  }
  return best?.name;
}

/** Letters to insert, remove or replace (Levenshtein's distance). */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, i) => i);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++) {
      const replaced = row[j - 1]! + (from[i - 1] === to[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[to.length]!;
}
