/**
 * What a request for a list asks for, and where its next page begins.
 *
 * The rules are:
 * - a parameter that is not known, or comes twice, is an error: nothing is guessed;
 * - a cursor is where the page before ended, as its own list reads it: whatever else is in it is an
 *   error, and it opens nothing that the key may not see.
 */

/** Most items of a page, and how many there are if nothing is said. */
const LIMIT_MAX = 500;
const LIMIT_DEFAULT = 100;

/** Longest value of a parameter, characters. */
const VALUE_MAX_CHARS = 512;

/** What is wrong with a query; it is told to the client. */
export class QueryError extends Error {}

/** The parameters of one request, each read once. */
export class PageQuery {
  readonly #values: URLSearchParams;

  /** Throws a `QueryError` if there is another parameter than `names`, or one twice. */
  constructor(values: URLSearchParams, names: readonly string[]) {
    this.#values = values;
    for (const [name, value] of values) {
      if (!names.includes(name)) {
        const known = names.length === 0 ? "no parameters" : names.join(", ");
        throw new QueryError(`There are ${known}, and no others`);
      }
      if (values.getAll(name).length > 1) throw new QueryError(`${name}: send it once`);
      if (value.length > VALUE_MAX_CHARS) throw new QueryError(`${name}: it is too long`);
    }
  }

  /** A text; undefined if it is not there, or empty. */
  text(name: string): string | undefined {
    return this.#values.get(name) || undefined;
  }

  /** One of these words. */
  word<Word extends string>(name: string, words: readonly Word[]): Word | undefined {
    const text = this.text(name);
    const word = words.find((one) => one === text);
    if (text !== undefined && word === undefined) {
      throw new QueryError(`${name}: one of ${words.join(", ")}`);
    }
    return word;
  }

  /** A whole number from `min` to `max`. */
  number(name: string, { min, max }: { readonly min: number; readonly max: number }) {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const value = /^[0-9]{1,15}$/.test(text) ? Number(text) : NaN;
    if (value >= min && value <= max) return value;
    throw new QueryError(`${name}: a number from ${min} to ${max}`);
  }

  /** How many items are asked for. */
  get limit(): number {
    return this.number("limit", { min: 1, max: LIMIT_MAX }) ?? LIMIT_DEFAULT;
  }

  /** The values in the cursor, of these types; undefined: from the first. */
  cursor<Types extends readonly CursorType[]>(...types: Types): CursorValues<Types> | undefined {
    const text = this.text("cursor");
    if (text === undefined) return undefined;
    const values = decoded(text);
    const fits = values?.length === types.length &&
      types.every((type, i) => isOf(values[i], type));
    if (!fits) throw new QueryError("cursor: take next of the page before, or begin without it");
    return values as CursorValues<Types>;
  }
}

type CursorType = "number" | "text" | "any";
type CursorValue = string | number | null;
type CursorValues<Types extends readonly CursorType[]> = {
  [K in keyof Types]: Types[K] extends "number" ? number
    : Types[K] extends "text" ? string
    : CursorValue;
};

/** What a page of a list that is in memory begins behind, and how long it is. */
interface PageOf<Item, Place> {
  readonly limit: number;
  /** Undefined: from the first. */
  readonly cursor: Place | undefined;
  /** What the list is sorted by, with `compare`; no two items have the same. */
  readonly placeOf: (item: Item) => Place;
  readonly compare: (one: Place, other: Place) => number;
}

/** A page of a sorted list, and the cursor of the next one; null: there is none. */
export function pageOf<Item, Place extends readonly CursorValue[]>(
  sorted: readonly Item[],
  { limit, cursor, placeOf, compare }: PageOf<Item, Place>,
): { readonly page: Item[]; readonly next: string | null } {
  const rest = cursor === undefined
    ? sorted
    : sorted.filter((item) => compare(placeOf(item), cursor) > 0);
  const page = rest.slice(0, limit);
  return { page, next: rest.length > limit ? cursorOf(...placeOf(page.at(-1)!)) : null };
}

/** A cursor as the client sees it: nothing to read in it. */
export function cursorOf(...values: readonly CursorValue[]): string {
  const bytes = new TextEncoder().encode(JSON.stringify(values));
  return bytes.toBase64({ alphabet: "base64url", omitPadding: true });
}

function decoded(text: string): readonly unknown[] | undefined {
  try {
    const bytes = Uint8Array.fromBase64(text, { alphabet: "base64url" });
    const value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    return Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isOf(value: unknown, type: CursorType): boolean {
  const isNumber = Number.isSafeInteger(value);
  const isText = typeof value === "string";
  return type === "number" ? isNumber : type === "text" ? isText : isNumber || isText ||
    value === null;
}
