/**
 * HTTP statuses of the backend after which a reading is sent again.
 *
 * The rules are:
 * - a list has statuses and classes: `"408, 5xx"`; 2xx is delivered, whatever a list says;
 * - some of them say that the backend is not the one that the gateway was told of: a wrong path,
 *   scheme or key must not make dead letters of all readings, so these wait;
 * - a status that HTTP does not know counts as 5xx (RFC 9110 §15).
 */

/** What is sent again if the settings do not say otherwise. */
export const RETRY_STATUSES = "3xx, 401, 403, 404, 405, 407, 408, 409, 421, 425, 426, 429, 5xx";

const WRONG_BACKEND: readonly number[] = [401, 403, 404, 405, 407, 421, 426];

const ITEM = /^(?:[345]xx|[345][0-9]{2})$/;

/** True for a list that `statusesOf` reads; an empty one is none. */
export function isStatusList(text: string): boolean {
  return text.length <= 1000 &&
    (text.trim() === "" || itemsOf(text).every((item) => ITEM.test(item)));
}

/** The statuses of a list that `isStatusList`. */
export function statusesOf(list: string): ReadonlySet<number> {
  if (list.trim() === "") return new Set();
  return new Set(
    itemsOf(list).flatMap((item) => {
      if (!item.endsWith("xx")) return Number(item);
      return Array.from({ length: 100 }, (_, i) => Number(item[0]) * 100 + i);
    }),
  );
}

/** True if a status says that this is not the backend that was meant. */
export function isWrongBackend(status: number): boolean {
  return (status >= 300 && status < 400) || WRONG_BACKEND.includes(status);
}

function itemsOf(list: string): string[] {
  return list.split(",").map((item) => item.trim());
}
