/**
 * Mosquitto's access lists: who is denied, and whether Mosquitto could read the list. Pure.
 *
 * The rules are:
 * - what is above the mark is the operator's and stays; what is below is ours;
 * - a list that Mosquitto cannot read switches all access checks off when it is reloaded: it is
 *   read here first, by the same rules as in its `aclfile__parse`.
 */

/** Below this line, `device revoke` and `restore` write. */
export const DENIALS_MARK = "# Revoked devices; written by secure-iot-gateway device revoke.";

/** Without these rules no device could work, or one could publish as another. */
const DEVICE_RULES = [
  "pattern write device/%u/data",
  "pattern read device/%u/response",
  "pattern read device/%u/command",
];

const ACCESS = ["read", "write", "readwrite", "deny"];

/** The list `text` with every topic denied to `deviceIds` only. */
export function withDenials(text: string, deviceIds: readonly string[]): string {
  const [head = ""] = text.split(DENIALS_MARK);
  const kept = head === "" || head.endsWith("\n") ? head : `${head}\n`;
  if (deviceIds.length === 0) return kept;
  // Mosquitto looks at a user's own rules before the patterns, and at "deny" first of all.
  const denials = deviceIds.map((deviceId) => `user ${deviceId}\ntopic deny device/#\n`);
  return `${kept}${DENIALS_MARK}\n${denials.join("")}`;
}

/** Why the devices' list must not be given to the broker, each with its line. */
export function deviceListFaults(text: string): string[] {
  const rules = text.split("\n").map((line) => line.trim());
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
