/**
 * What the outcome of a POST to the backend means.
 *
 * The rules are:
 * - 2xx is delivered;
 * - a time-out, a refused or broken connection, and the statuses of `backend.retry_statuses` are
 *   tried again; every other status is final;
 * - waits grow exponentially with jitter; a `Retry-After` that asks for longer is honoured.
 */

/** The backend's answer; the body is undefined if it was too large or incomplete. */
export interface Answer {
  readonly kind: "answer";
  readonly status: number;
  readonly body: Uint8Array | undefined;
  /** The `Retry-After` field, unparsed. */
  readonly retryAfter: string | null;
  /** The `Location` field, as it came; of a redirect, which is not followed. */
  readonly location: string | null;
  /** The `Content-Type` field, unparsed. */
  readonly contentType: string | null;
}

/** The backend did not answer. */
interface NoAnswer {
  readonly kind: "no_answer";
  /** Why, in words for the log. */
  readonly reason: string;
}

export type Outcome = Answer | NoAnswer;

/** What to do with the entry. */
type Disposition = "delivered" | "rejected" | "retry";

/** What is kept of the answer that made a dead letter. */
export interface KeptAnswer {
  readonly contentType: string | undefined;
  readonly location: string | undefined;
  /** Its beginning; undefined if there was none, or it was not read. */
  readonly body: Uint8Array | undefined;
}

/** Dead letters that were dropped because there were too many, or too old ones. */
export interface ExpiredDeadLetters {
  readonly count: number;
  /** The first of them. */
  readonly named: readonly { readonly deviceId: string; readonly messageId: string }[];
  /** How many more of each device. */
  readonly others: ReadonlyMap<string, number>;
}

/** Why an entry became a dead letter. */
export interface DeadLetterCause {
  /** The backend's last answer; undefined if there was none. */
  readonly status: number | undefined;
  readonly reason: string;
  /** Wall clock, Unix milliseconds. */
  readonly deadLetteredAtMs: number;
  /** Undefined if no answer came, or it is not loaded. */
  readonly answer?: KeptAnswer | undefined;
}

/** How an entry leaves the outbox: delivered, or as a dead letter. */
export interface Settlement {
  readonly sequence: number;
  /** Undefined if it was delivered. */
  readonly deadLetter: DeadLetterCause | undefined;
}

/** How long to wait between tries. */
interface Backoff {
  readonly firstMs: number;
  readonly longestMs: number;
}

/** Longest wait that a backend can ask for with `Retry-After`. */
export const RETRY_AFTER_MAX_MS = 3_600_000;

/** How much of an answer a dead letter keeps. */
export const KEPT_BODY_MAX_BYTES = 4096;
const KEPT_FIELD_MAX_CHARS = 2048;

/** Longest part of a redirect's target that is shown or kept. */
const LOCATION_MAX_CHARS = 500;

/** What an outcome means for its entry; `retryStatuses` as the settings have them. */
export function dispositionOf(outcome: Outcome, retryStatuses: ReadonlySet<number>): Disposition {
  if (outcome.kind === "no_answer") return "retry";
  const { status } = outcome;
  if (status >= 200 && status < 300) return "delivered";
  // RFC 9110 §15: a status that is none counts as 5xx
  return retryStatuses.has(status < 600 ? status : 500) ? "retry" : "rejected";
}

/** What a dead letter keeps of an outcome; undefined if no answer came. */
export function keptAnswer(outcome: Outcome): KeptAnswer | undefined {
  if (outcome.kind === "no_answer") return undefined;
  return {
    contentType: outcome.contentType?.slice(0, KEPT_FIELD_MAX_CHARS),
    location: outcome.location === null ? undefined : shownLocation(outcome.location),
    body: outcome.body?.slice(0, KEPT_BODY_MAX_BYTES),
  };
}

/** A `Location` field as it may be shown: its query, or what comes before an "@", may be a key. */
export function shownLocation(location: string): string {
  return location.replace(/[?#].*$/s, "")
    .replace(/^([a-z][a-z0-9+.-]*:)?\/\/[^/]*@/i, "$1//")
    .replaceAll(/[^\x20-\x7e]/g, "?")
    .slice(0, LOCATION_MAX_CHARS);
}

/**
 * Milliseconds until try number `tries + 1`: half of the wait is fixed, the other half random.
 * `random` is in [0, 1); `nowMs` is the wall clock, for a `Retry-After` that names a date.
 */
export function retryDelayMs(
  outcome: Outcome,
  tries: number,
  options: { backoff: Backoff; random: number; nowMs: number },
): number {
  const { firstMs, longestMs } = options.backoff;
  const ceilingMs = Math.min(longestMs, firstMs * 2 ** Math.min(tries - 1, 30));
  const delayMs = ceilingMs / 2 + options.random * ceilingMs / 2;
  const asked = outcome.kind === "answer" ? outcome.retryAfter : null;
  return Math.max(delayMs, retryAfterMs(asked, options.nowMs));
}

/** A `Retry-After` field in milliseconds (RFC 9110 §10.2.3: seconds or a date); 0 where it is neither. */
export function retryAfterMs(field: string | null, nowMs: number): number {
  const text = (field ?? "").trim();
  const ms = /^[0-9]+$/.test(text) ? Number(text) * 1000 : httpDateMs(text, nowMs) - nowMs;
  return Number.isNaN(ms) ? 0 : Math.min(Math.max(ms, 0), RETRY_AFTER_MAX_MS);
}

const MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec".split("|");
const MONTH = `(?<month>${MONTHS.join("|")})`;
const TIME = "(?<hour>\\d\\d):(?<minute>\\d\\d):(?<second>\\d\\d)";

/** The three forms of a date: IMF-fixdate, RFC 850's and asctime's (RFC 9110 §5.6.7). */
const DATES = [
  `(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (?<day>\\d\\d) ${MONTH} (?<year>\\d{4}) ${TIME} GMT`,
  `(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, (?<day>\\d\\d)-${MONTH}-(?<year>\\d\\d) ${TIME} GMT`,
  `(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) ${MONTH} (?<day>\\d\\d| \\d) ${TIME} (?<year>\\d{4})`,
].map((form) => new RegExp(`^${form}$`));

/** An HTTP date in Unix milliseconds; NaN where it is none. */
function httpDateMs(text: string, nowMs: number): number {
  for (const form of DATES) {
    const parts = form.exec(text)?.groups;
    if (!parts) continue;
    const month = MONTHS.indexOf(parts["month"]!);
    const at = ["day", "hour", "minute", "second"].map((name) => Number(parts[name]));
    const [day, hour, minute, second] = at as [number, number, number, number];
    const ms = Date.UTC(yearOf(parts["year"]!, nowMs), month, day, hour, minute, second);
    const isDay = new Date(Date.UTC(2000, month, day)).getUTCMonth() === month && day > 0;
    return isDay && hour < 24 && minute < 60 && second <= 60 ? ms : NaN; // 60: a leap second
  }
  return NaN;
}

/** Two digits that would be more than 50 years ahead are of the century before. */
function yearOf(digits: string, nowMs: number): number {
  if (digits.length === 4) return Number(digits);
  const thisYear = new Date(nowMs).getUTCFullYear();
  const year = thisYear - thisYear % 100 + Number(digits);
  return year > thisYear + 50 ? year - 100 : year;
}
