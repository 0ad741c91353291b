/** How Mosquitto is configured, in every file that it reads. */

import {
  accessListFaults,
  NEW_LISTS,
  NEWER_RULES,
  rulesOf,
} from "../site/mosquitto/access_list.ts";
import { deviceRules, gatewayRules, type LineRule, linesOf, mainRules } from "./broker_rules.ts";
import { type Check, type CheckOutcome, fail, pass, type Site, warn } from "./check.ts";
import {
  type Line,
  type Listener,
  type MosquittoConf,
  parseMosquittoConf,
} from "../site/mosquitto/conf_parser.ts";
import { readText } from "../config/operator_file.ts";

/** The checks of this family. */
export const BROKER_CHECKS: readonly Check<Site>[] = [
  { name: "broker configuration", look: mainLines },
  { name: "listeners", look: listeners },
  { name: "devices' listener", look: devicesListener },
  { name: "gateway's listener", look: gatewaysListener },
  { name: "devices' access list", look: devicesList },
  { name: "gateway's access list", look: gatewaysList },
];

/** Above the first listener, each of these opens port 1883 to everybody. */
const OPENS_1883 = [
  ...["port", "bind_address", "allow_anonymous", "acl_file", "password_file", "cafile", "certfile"],
  ...["keyfile", "crlfile", "require_certificate", "use_identity_as_username", "tls_version"],
  ...["use_username_as_clientid", "allow_zero_length_clientid", "max_connections", "protocol"],
];

const LISTENERS_REMEDY =
  "Write the two listeners in mosquitto.conf as init does, then: systemctl restart mosquitto";
const LIST_REMEDY = "Correct the access list as init writes it, then: systemctl restart mosquitto";
const UPGRADE_REMEDY = "To add it, type: secure-iot-gateway site upgrade";
const LINES_REMEDY = "Correct mosquitto.conf as init writes it, then: systemctl restart mosquitto";

/** The two listeners that there should be; undefined if one is missing. */
export function listenersOf({ layout, config }: Site, { listeners }: MosquittoConf): {
  readonly devices: Listener | undefined;
  readonly gateway: Listener | undefined;
} {
  const gateway = listeners.find(({ port }) => port === config.broker.port);
  const others = listeners.filter((one) => one !== gateway);
  const devices =
    others.find(({ lines }) => lines.get("cafile")?.value === layout.deviceCa.certificate) ??
      others[0];
  return { devices, gateway };
}

async function mainLines(site: Site): Promise<CheckOutcome> {
  const { main } = await confOf(site);
  return judge(main, mainRules(site));
}

async function listeners(site: Site): Promise<CheckOutcome> {
  const conf = await confOf(site);
  const { devices, gateway } = listenersOf(site, conf);
  const faults = OPENS_1883.map((keyword) => conf.main.get(keyword)).filter((line) => !!line)
    .map((line) => `${shown(line)} is above every listener and opens port 1883 to everybody`);
  if (!gateway) {
    faults.push(`there is no listener on port ${site.config.broker.port}, the gateway's`);
  }
  if (!devices) faults.push("there is no listener for devices");
  const extra = conf.listeners.filter((one) => one !== devices && one !== gateway);
  const open = extra.filter((one) => !isGuarded(one));
  faults.push(...open.map((one) => `${describe(one)} accepts clients without a certificate`));
  if (faults.length > 0) return fail(faults.join("; "), LISTENERS_REMEDY);
  const observed = `devices on port ${devices!.port}, the gateway on port ${gateway!.port}`;
  if (extra.length === 0) return pass(`${observed}, no others`);
  return warn(
    `${observed}, and also ${extra.map(describe).join("; ")}`,
    "If you do not need it, remove it from mosquitto.conf",
  );
}

async function devicesListener(site: Site): Promise<CheckOutcome> {
  const { devices } = listenersOf(site, await confOf(site));
  return devices
    ? judge(linesOf(devices), deviceRules(site))
    : fail("there is no listener for devices", LINES_REMEDY);
}

async function gatewaysListener(site: Site): Promise<CheckOutcome> {
  const { gateway } = listenersOf(site, await confOf(site));
  return gateway
    ? judge(linesOf(gateway), gatewayRules(site))
    : fail("there is no listener for the gateway", LINES_REMEDY);
}

async function devicesList(site: Site): Promise<CheckOutcome> {
  return judgeList(await readText(site.layout.aclDevices), NEW_LISTS.devices);
}

async function gatewaysList(site: Site): Promise<CheckOutcome> {
  return judgeList(await readText(site.layout.aclGateway), NEW_LISTS.gateway);
}

function judge(lines: ReadonlyMap<string, Line>, rules: readonly LineRule[]): CheckOutcome {
  const broken = rules.filter(({ keyword, right }) => !right(lines.get(keyword)?.value));
  if (broken.length === 0) return pass(`${rules.length} lines are correct`);
  const faults = broken.map(({ keyword, wanted, reason }) => {
    const line = lines.get(keyword);
    const found = line ? shown(line) : `there is no line "${keyword}"`;
    return `${found}, not "${wanted}": ${reason}`;
  });
  const status = broken.every(({ lenient }) => lenient) ? warn : fail;
  return status(faults.join("; "), LINES_REMEDY);
}

/** Rules that grant more than they must: for a device's own topics, odd; for all, a hole. */
function judgeList(text: string, wanted: string): CheckOutcome {
  const [rules, usual] = [rulesOf(text), rulesOf(wanted)];
  const missing = usual.filter((rule) => !rules.includes(rule));
  const granted = rules.filter((rule) => /^(topic|pattern) (?!deny )/.test(rule));
  const extra = granted.filter((rule) => !usual.includes(rule));
  const holes = extra.filter((rule) => /[#+]/.test(rule) || !rule.includes("%u"));
  const wrong = [
    ...accessListFaults(text),
    ...holes.map((rule) => `"${rule}" allows more than is needed`),
  ];
  const faults = [...wrong, ...missing.map((rule) => `there is no line "${rule}"`)];
  const remedy = missing.length > 0 && wrong.length === 0 ? UPGRADE_REMEDY : LIST_REMEDY;
  if (wrong.length > 0 || !missing.every((rule) => NEWER_RULES.includes(rule))) {
    return fail(faults.join("; "), remedy);
  }
  if (faults.length > 0) return warn(faults.join("; "), remedy);
  const observed = `${usual.length} rules, all correct`;
  return extra.length === 0
    ? pass(observed)
    : warn(`${observed}, and "${extra.join('", "')}"`, remedy);
}

async function confOf({ layout }: Site): Promise<MosquittoConf> {
  return await parseMosquittoConf(layout.brokerConfiguration);
}

function isGuarded({ lines }: Listener): boolean {
  const is = (keyword: string) => ["true", "1"].includes(lines.get(keyword)?.value ?? "");
  return is("require_certificate") && !is("allow_anonymous") && lines.has("cafile") &&
    lines.has("certfile") && lines.has("acl_file");
}

function describe({ port, address, place }: Listener): string {
  const where = port === 0 ? `socket ${address}` : `port ${port}${address ? ` of ${address}` : ""}`;
  return `the listener on ${where} (${place})`;
}

function shown({ keyword, value, place }: Line): string {
  return `"${keyword} ${value}" (${place})`;
}
