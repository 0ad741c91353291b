/** The types of settings: how a value is checked, and what the error says. */

import { isIP } from "node:net";
import { isStatusList } from "../core/retry_statuses.ts";

const HOST_MAX_CHARS = 253;
const POSTGRES_PORT = 5432;
const DURATION = /^([0-9]{1,9})(ms|s|m|h|d)$/;
const UNIT_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** A type of value. */
export interface SettingType<T> {
  /** What it must be: "must be a …". */
  readonly allowed: string;
  accepts(value: unknown): value is T;
}

/** True for a text that `durationMs` can read. */
export function isDuration(text: string): boolean {
  return DURATION.test(text);
}

/** Milliseconds of a duration; `isDuration` must be true for it. */
export function durationMs(text: string): number {
  const [, count, unit] = DURATION.exec(text)!;
  return Number(count) * UNIT_MS[unit as keyof typeof UNIT_MS];
}

/** A path of a file. */
export function path(): SettingType<string> {
  return textThat("must be a path, without a blank at its end", isPath);
}

/** A path; an empty text for none. */
export function pathOrNone(): SettingType<string> {
  return textThat(
    "must be a path, without a blank at its end, or empty",
    (value) => value === "" || isPath(value),
  );
}

function isPath(text: string): boolean {
  // deno-lint-ignore no-control-regex -- none of them is meant
  return text !== "" && text === text.trim() && !/[\x00-\x1f\x7f]/.test(text);
}

/** A whole number in a range, its ends included. */
export function integer(min: number, max: number): SettingType<number> {
  return {
    allowed: `must be a whole number from ${min} to ${max}`,
    accepts: (value): value is number => isWithin(value, min, max) && Number.isInteger(value),
  };
}

/** A number in a range, its ends included. */
export function number(min: number, max: number): SettingType<number> {
  return {
    allowed: `must be a number from ${min} to ${max}`,
    accepts: (value): value is number => isWithin(value, min, max),
  };
}

/** A TCP port. */
export function port(): SettingType<number> {
  return integer(1, 65_535);
}

/** A duration in a range, its ends included. */
export function duration(least: string, most: string): SettingType<string> {
  return textThat(
    `must be a duration from "${least}" to "${most}", such as "10s", "5m" or "24h"`,
    (value) =>
      isDuration(value) && isWithin(durationMs(value), durationMs(least), durationMs(most)),
  );
}

/** One of a few texts. */
export function oneOf<const T extends string>(values: readonly T[]): SettingType<T> {
  return {
    allowed: `must be one of "${values.join('", "')}"`,
    accepts: (value): value is T => values.some((one) => one === value),
  };
}

/** True or false. */
export function boolean(): SettingType<boolean> {
  return {
    allowed: "must be true or false",
    accepts: (value) => typeof value === "boolean",
  };
}

/** HTTP statuses and classes of them. */
export function statusList(): SettingType<string> {
  return textThat(
    'must be statuses and classes from 3xx to 5xx, such as "408, 429, 5xx", or empty',
    isStatusList,
  );
}

/** A client id that cannot be guessed. */
export function clientId(): SettingType<string> {
  return textThat(
    "must be 16 to 128 letters, digits or dashes",
    (value) => /^[A-Za-z0-9-]{16,128}$/.test(value),
  );
}

/** A URL that `backend.path` can be appended to; it may have a query. */
export function backendUrl(): SettingType<string> {
  return textThat(
    "must be an http:// or https:// URL without user name (see backend.headers_file), fragment, " +
      "blanks or braces, such as http://127.0.0.1:5000",
    isBackendUrl,
  );
}

/** What is appended to the backend's URL for each reading. */
export function backendPath(): SettingType<string> {
  return textThat(
    "must begin with / and have no blanks or fragment, and no braces but {device_id} and " +
      "{message_id}",
    (value) => isUrlText(value.replaceAll(/\{(device_id|message_id)\}/g, "")) && value[0] === "/",
  );
}

/** What is appended to the backend's URL for a command's state; empty if nobody is told. */
export function callbackPath(): SettingType<string> {
  const { allowed, accepts } = backendPath();
  return textThat(`${allowed}; or be empty`, (value) => value === "" || accepts(value));
}

/** What is appended to the backend's URL for a batch. */
export function batchPath(): SettingType<string> {
  return textThat(
    "must begin with / and have no blanks, fragment or braces",
    (value) => isUrlText(value) && value[0] === "/",
  );
}

/** The URL of a proxy; empty if there is none. */
export function proxyUrl(): SettingType<string> {
  return textThat(
    "must be http://host:port, or empty",
    (value) => value === "" || (isBackendUrl(value) && /^http:\/\/[^/?]+:\d+$/i.test(value)),
  );
}

/** Where the servers of a store are; empty if there are none. */
export function storeUrl(): SettingType<string> {
  return textThat(
    "must be postgres://user@host:port/database, with one or more hosts between commas and no " +
      "password (see store.password_file), or empty",
    (value) => value === "" || readStoreUrl(value) !== undefined,
  );
}

/** The servers that a URL names; undefined if it is not one. IPv6 addresses stand in brackets. */
export function readStoreUrl(text: string) {
  const parts = /^postgres(?:ql)?:\/\/([A-Za-z0-9_.-]{1,63})@([^/@?#\s]+)\/([A-Za-z0-9_.-]{1,63})$/
    .exec(text);
  if (parts === null) return undefined;
  const [, user, list, database] = parts as unknown as [string, string, string, string];
  const hosts = list.split(",").map(readServerHost);
  return hosts.every((host) => host !== undefined) ? { user, hosts, database } : undefined;
}

function readServerHost(text: string): { host: string; port: number } | undefined {
  const parts = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]]+))(?::([0-9]{1,5}))?$/.exec(text);
  const host = parts?.[1] ?? parts?.[2];
  const port = Number(parts?.[3] ?? POSTGRES_PORT);
  const isHost = host !== undefined && hostName().accepts(host) && port > 0 && port <= 65_535;
  return isHost ? { host, port } : undefined;
}

/** The name of a gateway among those that share a store; empty if it is alone. */
export function nodeName(): SettingType<string> {
  return textThat(
    "must be 1 to 40 letters, digits, dots, dashes or underscores, or empty",
    (value) => /^[A-Za-z0-9._-]{0,40}$/.test(value),
  );
}

function isBackendUrl(text: string): boolean {
  const url = URL.parse(text);
  // The parser is lenient: it trims, drops line breaks and takes backslashes for slashes.
  if (url === null || !isUrlText(text)) return false;
  return (url.protocol === "http:" || url.protocol === "https:") &&
    /^https?:\/\/[^/]/i.test(text) &&
    url.username === "" && url.password === "" && url.port !== "0";
}

/** True for what the parser takes as it is. */
function isUrlText(text: string): boolean {
  return /^[\x21-\x7e]*$/.test(text) && !/[\\{}#"<>^`|]/.test(text) &&
    !/%(?![0-9A-Fa-f]{2})/.test(text) && !/(^|\/)\.{1,2}(\/|$|\?)/.test(text);
}

/** A DNS name or an IP address of this machine, as a certificate can hold it. */
export function hostName(): SettingType<string> {
  return textThat(
    "must be a DNS name or an IP address",
    (value) => (isIP(value) !== 0 && !value.includes("%")) || isDnsName(value),
  );
}

/** RFC 1123 §2.1; an all-digit last label would be a mistyped address. */
function isDnsName(host: string): boolean {
  const labels = host.split(".");
  return host.length <= HOST_MAX_CHARS && !/^\d+$/.test(labels.at(-1) ?? "") &&
    labels.every((label) => /^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/.test(label));
}

function textThat(allowed: string, fits: (value: string) => boolean): SettingType<string> {
  return {
    allowed,
    accepts: (value): value is string => typeof value === "string" && fits(value),
  };
}

function isWithin(value: unknown, min: number, max: number): value is number {
  return typeof value === "number" && value >= min && value <= max;
}
