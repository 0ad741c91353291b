/**
 * Every setting there is: its name, its default, what it may be and what it does.
 *
 * The rules are:
 * - a setting exists here or not at all; gateway.toml, the environment and the README's table are
 *   made from, or checked against, this file;
 * - a path is taken from the site folder; a duration is a number and a unit: `500ms`, `10s`, `5m`,
 *   `24h`, `7d`, or `0s`.
 */

import { z } from "zod";

const DURATION = /^([0-9]{1,9})(ms|s|m|h|d)$/;
const UNIT_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** True for a text that `durationMs` reads. */
export function isDuration(text: string): boolean {
  return DURATION.test(text);
}

/** Milliseconds of a duration setting that has passed its check. */
export function durationMs(text: string): number {
  const [, count, unit] = DURATION.exec(text)!;
  return Number(count) * UNIT_MS[unit as keyof typeof UNIT_MS];
}

function text() {
  return z.string({ error: "must be a text that is not empty" }).min(1, {
    error: "must be a text that is not empty",
  });
}

function whole(min: number, max: number) {
  const error = `must be a whole number from ${min} to ${max}`;
  return z.int({ error }).min(min, { error }).max(max, { error });
}

function number(min: number, max: number) {
  const error = `must be a number from ${min} to ${max}`;
  return z.number({ error }).min(min, { error }).max(max, { error });
}

function port() {
  return whole(1, 65_535);
}

function duration(least: string, most: string) {
  const error = `must be a duration from "${least}" to "${most}", such as "10s", "5m" or "24h"`;
  return z.string({ error }).regex(DURATION, { error }).refine(
    (text) =>
      !DURATION.test(text) ||
      (durationMs(text) >= durationMs(least) && durationMs(text) <= durationMs(most)),
    { error },
  );
}

function oneOf<const T extends readonly [string, ...string[]]>(values: T) {
  return z.enum(values, { error: `must be one of "${values.join('", "')}"` });
}

function yesOrNo() {
  return z.boolean({ error: "must be true or false" });
}

function backendUrl() {
  const error = "must be an http:// or https:// URL without user name, query or fragment";
  return z.string({ error }).refine(isBackendUrl, { error });
}

/** True for a URL that `/device/{id}/data` can be appended to. */
export function isBackendUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const url = new URL(text);
  return (url.protocol === "http:" || url.protocol === "https:") &&
    url.username === "" && url.password === "" && url.search === "" && url.hash === "";
}

function isClientId(text: string): boolean {
  return /^[A-Za-z0-9-]{16,128}$/.test(text);
}

/** The schema of gateway.toml, section by section. */
export const SETTINGS = z.strictObject({
  broker: z.strictObject({
    host: text().default("127.0.0.1").describe("Where Mosquitto listens for the gateway"),
    port: port().default(8884).describe("Its port there"),
    client_id: z.string({ error: "must be 16 to 128 letters, digits or dashes" })
      .refine(isClientId, { error: "must be 16 to 128 letters, digits or dashes" })
      .describe("The gateway's name in the broker's session; long and random, never to be changed"),
    keepalive: duration("5s", "300s").default("30s").describe("Longest silence on the connection"),
    ca: text().default("certs/gateway-ca.crt").describe("Authority that signed the broker's name"),
    certificate: text().default("certs/gateway.crt").describe("The gateway's certificate"),
    key: text().default("certs/gateway.key").describe("The gateway's private key"),
  }),
  backend: z.strictObject({
    url: backendUrl().default("http://127.0.0.1:5000")
      .describe("Readings are POSTed to {url}/device/{id}/data"),
    ca: z.string({ error: "must be a path, or empty" }).default("")
      .describe("Authority of an https backend; empty: the system's authorities"),
    timeout: duration("100ms", "10m").default("10s").describe("Longest wait for one answer"),
    concurrency: whole(1, 1000).default(32).describe("Most devices that are served at one time"),
    retry_first: duration("10ms", "1h").default("500ms").describe("Wait before the second try"),
    retry_longest: duration("10ms", "24h").default("30s")
      .describe("Waits double up to this; Retry-After may ask for up to 1h"),
    give_up_after: duration("1s", "365d").default("24h")
      .describe("An entry older than this becomes a dead letter when its next try fails"),
  }),
  devices: z.strictObject({
    host: text().default("localhost").describe("Where devices find Mosquitto; for their folders"),
    port: port().default(8883).describe("Its port there"),
    authority: text().default("certs/device-ca.crt")
      .describe("Authority of the devices; watched for its end"),
    revocation_list: text().default("certs/device-ca.crl")
      .describe("Its revocation list; watched for its end"),
  }),
  api: z.strictObject({
    host: text().default("0.0.0.0").describe("Address on which the API listens"),
    port: port().default(8443).describe("Its port"),
    certificate: text().default("certs/broker.crt").describe("The API's certificate"),
    key: text().default("certs/broker.key").describe("The API's private key"),
    key_file: text().default("api.key").describe(
      "The operator's copy of an API key, for `command`",
    ),
  }),
  checks: z.strictObject({
    tolerance: duration("1s", "1h").default("300s")
      .describe("How far a timestamp may be from now, either way"),
    outage_grace: duration("0s", "30d").default("24h")
      .describe("What was sent while the gateway was away is taken when it is back; 0s: it is not"),
    rate_limit_per_second: number(0, 1_000_000).default(0)
      .describe("Messages a second that one device may send; 0: no limit"),
    rate_limit_burst: whole(1, 1_000_000).default(10)
      .describe("Messages that a device may send at once, where there is a rate limit"),
  }),
  store: z.strictObject({
    database: text().default("data/gateway.db").describe("The SQLite file"),
    synchronous: oneOf(["FULL", "NORMAL"]).default("FULL")
      .describe("FULL: safe against power loss; NORMAL: against a crash of the gateway only"),
    sealing_key: text().default("secrets.key")
      .describe("The key for secrets in a site that is sealed; a systemd credential goes first"),
    max_pending: whole(1, 10_000_000).default(100_000)
      .describe("Entries that may wait for the backend; at that many, intake pauses"),
  }),
  dead_letters: z.strictObject({
    max_count: whole(0, 10_000_000).default(10_000)
      .describe("Dead letters that are kept; the oldest are dropped first"),
    max_age: duration("0s", "3650d").default("90d").describe("How long they are kept"),
  }),
  audit: z.strictObject({
    max_count: whole(100, 100_000_000).default(200_000)
      .describe("Entries that are kept; beyond that, the oldest tenth goes"),
    max_age: duration("1d", "3650d").default("365d").describe("How long they are kept"),
  }),
  log: z.strictObject({
    level: oneOf(["debug", "info", "warning", "error"]).default("info")
      .describe("Lowest level that is written"),
    accepted: yesOrNo().default(false).describe("Also write a line for each accepted message"),
  }),
});

/** Settings as they stand in gateway.toml, with defaults filled in. */
export type Settings = z.infer<typeof SETTINGS>;

/** One setting, for those who list them all. */
export interface Setting {
  readonly section: keyof Settings;
  readonly key: string;
  /** Undefined where there is no default and a value must be given. */
  readonly standard: string | number | boolean | undefined;
  readonly purpose: string;
}

/** Every setting in the order of this file. */
export function listSettings(): Setting[] {
  return Object.entries(SETTINGS.shape).flatMap(([section, { shape }]) =>
    Object.entries(shape).map(([key, schema]: [string, z.ZodType]) => ({
      section: section as keyof Settings,
      key,
      standard: schema.safeParse(undefined).data as Setting["standard"],
      purpose: schema.description!,
    }))
  );
}

/** The environment variable that overrides a setting: `SECURE_IOT_GATEWAY_BACKEND_URL`. */
export function environmentName(section: string, key: string): string {
  return `SECURE_IOT_GATEWAY_${section}_${key}`.toUpperCase();
}
