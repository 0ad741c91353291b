/** The lines of mosquitto.conf that matter, each with its reason. A new one is added here. */

import type { Site } from "./check.ts";
import type { Line, Listener } from "../site/mosquitto/conf_parser.ts";

/** A line that must be in the file, or must not. */
export interface LineRule {
  readonly keyword: string;
  /** True if the value is right; undefined is no line at all. */
  readonly right: (value: string | undefined) => boolean;
  /** The correct value. */
  readonly wanted: string;
  readonly reason: string;
  /** The broker works without it, but less well. */
  readonly lenient?: true;
}

/** Suites with forward secrecy and authenticated encryption, by OpenSSL's names. */
const GOOD_CIPHER = /^(ECDHE|DHE)-.*(GCM|CHACHA20-POLY1305|CCM)/;
const LOOPBACK = ["127.0.0.1", "::1", "localhost"];

/** Lines above the first listener; they apply to the whole broker. */
export function mainRules({ layout }: Site): LineRule[] {
  return [
    on("per_listener_settings", "otherwise one access list and authority serves both listeners"),
    on("persistence", "queued messages must survive a restart"),
    off("retain_available", "a retained message is delivered again at every subscribe"),
    {
      keyword: "max_packet_size",
      right: (value) => Number(value) >= 66_560 && Number(value) <= 1_048_576,
      wanted: "66560",
      reason: "without a limit, a packet of any size is read into memory",
    },
    absent("message_size_limit", "it acknowledges the messages that it drops; use max_packet_size"),
    absent("persistent_client_expiration", "a reload corrupts the list of sessions that expire"),
    lenient(
      absent(
        "max_keepalive",
        "from 2.0.21 on, Mosquitto refuses MQTT 3.1.1 devices with a longer keepalive, or with 0",
      ),
    ),
    absent("connection", "a bridge bypasses every check"),
    lenient({
      keyword: "autosave_interval",
      right: (value) => value === "1",
      wanted: "1",
      reason: "a killed broker loses everything since it last saved",
    }),
    lenient(
      atLeast(
        "max_queued_messages",
        100_000,
        "one device that sends too much would cost others their messages",
      ),
    ),
    lenient(atLeast("max_inflight_messages", 1_000, "it limits how many messages are in flight")),
    lenient({
      keyword: "log_dest",
      right: (value) => !value?.startsWith("file"),
      wanted: "stderr",
      reason: "logrotate sends SIGHUP, which reads the access lists again",
    }),
    lenient(exactly("pid_file", layout.brokerPid, "device revoke uses it to find the broker")),
    lenient(on("set_tcp_nodelay", "without it, every round trip takes 40 ms longer")),
  ];
}

/** Lines below the devices' listener. */
export function deviceRules({ layout }: Site): LineRule[] {
  return [
    ...commonRules,
    exactly(
      "cafile",
      layout.deviceCa.certificate,
      "only this authority issues device certificates",
    ),
    exactly("crlfile", layout.revocationList, "revoked certificates would be accepted"),
    exactly("acl_file", layout.aclDevices, "every device could use every topic"),
    on("use_username_as_clientid", "a device could take over another's session, and its commands"),
    lenient(exactly("max_qos", "1", "the gateway knows a repeated message by its id")),
  ];
}

/** Lines below the gateway's listener. */
export function gatewayRules({ layout, config }: Site): LineRule[] {
  const local = LOOPBACK.includes(config.broker.host);
  return [
    ...commonRules,
    exactly("cafile", layout.gatewayCa.certificate, "no device may connect as the gateway"),
    exactly("acl_file", layout.aclGateway, "the gateway needs only its own topics"),
    lenient({
      keyword: "max_connections",
      right: (value) => value === undefined || value === "-1" || Number(value) >= 10_000,
      wanted: "10000",
      reason: "connections that say nothing count too, and would keep the gateway out",
    }),
    ...(local ? [loopback] : []),
  ];
}

/** The lines of a listener, with its address as if it were one. */
export function linesOf({ lines, address, place }: Listener): ReadonlyMap<string, Line> {
  if (address === undefined) return lines;
  return new Map([...lines, ["address", { keyword: "address", value: address, place }]]);
}

const loopback: LineRule = {
  keyword: "address",
  right: (value) => value !== undefined && LOOPBACK.includes(value),
  wanted: "127.0.0.1 behind its port",
  reason: "the gateway runs on this machine, and only it uses this listener",
};

/** What holds for both listeners. */
const commonRules: readonly LineRule[] = [
  on("require_certificate", "anybody could connect"),
  on("use_identity_as_username", "the access list uses the certificate's CN"),
  off("allow_anonymous", "anybody could connect"),
  {
    keyword: "tls_version",
    right: (value) => value === "tlsv1.2" || value === "tlsv1.3",
    wanted: "tlsv1.2",
    reason: "older versions of TLS are insecure",
  },
  present("certfile", "without it there is no TLS"),
  present("keyfile", "without it there is no TLS"),
  absent("capath", "other authorities could issue device certificates"),
  absent("psk_hint", "a shared key does not identify a device"),
  absent("use_subject_as_username", "the access list uses the certificate's CN"),
  lenient(off("allow_zero_length_clientid", "no client here needs a session without a client id")),
  lenient({
    keyword: "ciphers",
    right: (value) => value?.split(":").every((name) => GOOD_CIPHER.test(name)) ?? false,
    wanted: "suites with forward secrecy and authenticated encryption only",
    reason: "TLS 1.2 also allows weaker suites",
  }),
];

function on(keyword: string, reason: string): LineRule {
  return { keyword, right: (value) => isYes(value), wanted: "true", reason };
}

function off(keyword: string, reason: string): LineRule {
  const right = (value?: string) => value !== undefined && !isYes(value);
  return { keyword, right, wanted: "false", reason };
}

function exactly(keyword: string, wanted: string, reason: string): LineRule {
  return { keyword, right: (value) => value === wanted, wanted, reason };
}

function atLeast(keyword: string, least: number, reason: string): LineRule {
  const right = (value?: string) =>
    value !== undefined && (value === "0" || Number(value) >= least);
  return { keyword, right, wanted: `${least}`, reason };
}

function present(keyword: string, reason: string): LineRule {
  return { keyword, right: (value) => value !== undefined, wanted: "a path", reason };
}

function absent(keyword: string, reason: string): LineRule {
  return { keyword, right: (value) => value === undefined, wanted: "no such line", reason };
}

function lenient(rule: LineRule): LineRule {
  return { ...rule, lenient: true };
}

/** As Mosquitto reads a boolean. */
function isYes(value: string | undefined): boolean {
  return value === "1" || value?.toLowerCase() === "true";
}
