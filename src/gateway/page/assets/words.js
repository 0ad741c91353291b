/** Numbers, times and sizes in words; all times are Unix seconds. */

const NUMBER = new Intl.NumberFormat("en-GB");
const RATE = new Intl.NumberFormat("en-GB", { maximumSignificantDigits: 3 });
const DATE = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium" });
const DATE_TIME = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });
const CLOCK = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const MINUTE = new Intl.DateTimeFormat("en-GB", { timeStyle: "short" });

/** Up to three years are said in days. */
const YEAR_SECONDS = 365 * 86_400;
const IN_DAYS_MAX_SECONDS = 3 * YEAR_SECONDS;

const UNITS = [[86_400, "d"], [3_600, "h"], [60, "min"], [1, "s"]];

/** `12,345`. */
export function number(value) {
  return NUMBER.format(value);
}

/** A number that need not be whole: `0.25`, `1,230`. */
export function rate(value) {
  return value >= 100 ? NUMBER.format(Math.round(value)) : RATE.format(value);
}

/** `1 device`, `2 devices`. */
export function counted(count, noun, plural = `${noun}s`) {
  return `${number(count)} ${count === 1 ? noun : plural}`;
}

/** `5 min`: one unit, rounded down. */
export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole >= IN_DAYS_MAX_SECONDS) return `${number(Math.floor(whole / YEAR_SECONDS))} years`;
  const [length, unit] = UNITS.find(([length]) => whole >= length) ?? UNITS.at(-1);
  return `${number(Math.floor(whole / length))} ${unit}`;
}

/** `5 min ago`. */
export function ago(seconds, nowSeconds) {
  return nowSeconds - seconds < 1 ? "now" : `${duration(nowSeconds - seconds)} ago`;
}

/** `in 12 d`, or `3 d ago`. */
export function until(seconds, nowSeconds) {
  return seconds > nowSeconds ? `in ${duration(seconds - nowSeconds)}` : ago(seconds, nowSeconds);
}

export function date(seconds) {
  return DATE.format(seconds * 1000);
}

export function dateTime(seconds) {
  return DATE_TIME.format(seconds * 1000);
}

/** `17:03:59`. */
export function clock(seconds) {
  return CLOCK.format(seconds * 1000);
}

/** `17:03`. */
export function minute(seconds) {
  return MINUTE.format(seconds * 1000);
}

/** `64 KiB`. */
export function size(bytes) {
  return bytes < 1024 ? counted(bytes, "byte") : `${RATE.format(bytes / 1024)} KiB`;
}

/** Unix seconds of either form that JSON has: a number, or ISO 8601. Undefined if there is none. */
export function secondsOf(time) {
  if (time === null || time === undefined) return undefined;
  return typeof time === "number" ? time : Date.parse(time) / 1000;
}
