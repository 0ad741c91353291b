/**
 * Mosquitto's access lists: what a new site's grant, what an older site's lack, who is denied, and
 * whether Mosquitto could read a list. Pure.
 *
 * The rules are:
 * - what is above the mark is the operator's and stays; what is below is ours;
 * - a list is only added to: a missing rule comes behind the one that it follows in a new site;
 * - a list that Mosquitto cannot read switches all access checks off when it is reloaded: it is
 *   read here first, by the same rules as in its `aclfile__parse`.
 */

import aclDevicesTemplate from "../../../mosquitto/acl_devices.template" with { type: "text" };
import aclGatewayTemplate from "../../../mosquitto/acl_gateway.template" with { type: "text" };

/** Both lists as a new site has them; nothing in them depends on the site. */
export const NEW_LISTS = { devices: aclDevicesTemplate, gateway: aclGatewayTemplate } as const;

/** Lines that belong into a list. */
export interface Insertion {
  /** The line behind which they come, counted from 1; 0 is the beginning. */
  readonly afterLine: number;
  /** One rule or several, each with the comment above it. */
  readonly lines: readonly string[];
}

/** Below this line, `device revoke` and `restore` write. */
export const DENIALS_MARK = "# Revoked devices; written by secure-iot-gateway device revoke.";

/** Rules that a site of an earlier version lacks; what it could do, it does without them. */
export const NEWER_RULES: readonly string[] = [
  "pattern write device/%u/ack",
  "pattern read device/%u/receipt",
  "pattern read device/+/ack",
  "pattern write device/+/receipt",
];

/** Without these rules no device could work; the newer ones can wait for `site upgrade`. */
const DEVICE_RULES = [
  "pattern write device/%u/data",
  "pattern read device/%u/response",
  "pattern read device/%u/command",
];

const ACCESS = ["read", "write", "readwrite", "deny"];

/** The rules of a list, in their order, without comments. */
export function rulesOf(text: string): string[] {
  return text.split("\n").map(ruleOf).filter((rule) => rule !== "");
}

/** What the list `text` lacks of the list `wanted`, with where it belongs, in the order of its lines. */
export function missingLines(text: string, wanted: string): Insertion[] {
  const [head = ""] = text.split(DENIALS_MARK);
  const places = new Map(head.split("\n").map((line, i) => [ruleOf(line), i + 1]));
  const missing = new Map<number, string[]>();
  let afterLine = 0;
  for (const lines of partsOf(wanted)) {
    const place = places.get(ruleOf(lines.at(-1)!));
    if (place === undefined) missing.set(afterLine, [...missing.get(afterLine) ?? [], ...lines]);
    else afterLine = place;
  }
  return [...missing].map(([afterLine, lines]) => ({ afterLine, lines }))
    .sort((a, b) => a.afterLine - b.afterLine);
}

/** The list `text` with what `missingLines` found in it. */
export function withLines(text: string, insertions: readonly Insertion[]): string {
  const lines = text.split("\n");
  for (const { afterLine, lines: added } of insertions.toReversed()) {
    lines.splice(afterLine, 0, ...added);
  }
  return lines.join("\n");
}

/** A list's rules, each with the comment above it. */
function partsOf(list: string): string[][] {
  const parts: string[][] = [];
  let comment: string[] = [];
  for (const line of list.split("\n")) {
    if (ruleOf(line) === "") comment.push(line);
    else {
      parts.push([...comment, line]);
      comment = [];
    }
  }
  return parts;
}

/** A line as Mosquitto takes it; empty for a comment. */
function ruleOf(line: string): string {
  const rule = line.trim().replace(/ +/g, " ");
  return rule.startsWith("#") ? "" : rule;
}

/** The list `text` with every topic denied to `deviceIds` only. */
export function withDenials(text: string, deviceIds: readonly string[]): string {
  const [head = ""] = text.split(DENIALS_MARK);
  const kept = head === "" || head.endsWith("\n") ? head : `${head}\n`;
  if (deviceIds.length === 0) return kept;
  // Mosquitto looks at a user's own rules before the patterns, and at "deny" first of all.
  const denials = deviceIds.map((deviceId) => `user ${deviceId}\ntopic deny device/#\n`);
  return `${kept}${DENIALS_MARK}\n${denials.join("")}`;
}

/** The devices to which a list denies every topic, as `withDenials` writes it. */
export function deniedIn(text: string): string[] {
  const [, tail = ""] = text.split(DENIALS_MARK);
  return [...tail.matchAll(/^user (\S+)$/gm)].map(([, deviceId]) => deviceId!);
}

/** Why the devices' list must not be given to the broker, each with its line. */
export function deviceListFaults(text: string): string[] {
  const rules = rulesOf(text);
  const missing = DEVICE_RULES.filter((rule) => !rules.includes(rule));
  return [...accessListFaults(text), ...missing.map((rule) => `there is no line "${rule}"`)];
}

/** What Mosquitto would stumble over in an access list, each with its line. */
export function accessListFaults(text: string): string[] {
  return text.split("\n").flatMap((line, i) => {
    const fault = lineFault(line.trimEnd());
    return fault === undefined ? [] : [`line ${i + 1}: ${fault}`];
  });
}

function lineFault(line: string): string | undefined {
  if (line === "" || line.startsWith("#")) return undefined;
  const [keyword = "", ...rest] = line.split(" ").filter((word) => word !== "");
  switch (keyword) {
    case "user":
      return rest.length > 0 ? undefined : "no user is named";
    case "topic":
    case "pattern":
      return ruleFault(rest);
    default:
      return `${JSON.stringify(keyword)} is none of "user", "topic" and "pattern"`;
  }
}

function ruleFault(words: readonly string[]): string | undefined {
  const [access = "", ...topic] = words;
  if (words.length === 0) return "no topic is named";
  if (words.length === 1) return topicFault(access);
  return ACCESS.includes(access)
    ? topicFault(topic.join(" "))
    : `${JSON.stringify(access)} is none of "${ACCESS.join('", "')}"`;
}

/** MQTT 5 §4.7.1: wildcards fill a level, and "#" is the last one. */
function topicFault(topic: string): string | undefined {
  const levels = topic.split("/");
  const wrong = levels.some((level, i) =>
    /[+#]/.test(level) && level !== "+" && !(level === "#" && i === levels.length - 1)
  );
  return wrong ? `${JSON.stringify(topic)} is not a topic filter` : undefined;
}
