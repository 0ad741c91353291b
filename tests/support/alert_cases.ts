/**
 * For each alerting rule, what fires it and what does not.
 *
 * The rules are:
 * - a series is `name` or `name{labels}`, without the prefix of the metrics; it gets the labels of the
 *   first gateway where it has none of its own;
 * - its values are one a minute, in promtool's notation: `0x5 1x10`, `0+60x40`.
 */

/** One case. */
export interface AlertCase {
  readonly alert: string;
  readonly series: Readonly<Record<string, string>>;
  /** When it is looked at. */
  readonly minute: number;
  /** Undefined: nothing fires. */
  readonly fires?: {
    /** Beside `severity`; without it, the first gateway's. */
    readonly labels?: Readonly<Record<string, string>>;
    readonly summary: string;
  };
}

/** Labels of the first gateway. */
export const FIRST = { job: "secure-iot-gateway", instance: "a:8443" } as const;

const JOB = { job: FIRST.job } as const;
const B = 'instance="b:8443",node="b"';

/** Looked at in a minute: one row fires with this summary, the other one does not. */
function pair(
  [alert, minute, summary]: readonly [string, number, string],
  fires: AlertCase["series"],
  quiet: AlertCase["series"],
): AlertCase[] {
  return [
    { alert, minute, series: fires, fires: { summary } },
    { alert, minute, series: quiet },
  ];
}

const STATE: readonly AlertCase[] = [
  ...pair(
    ["GatewayMissing", 5, "The gateway at a:8443 cannot be scraped"],
    { up: "1 0x10" },
    { up: "1 0x1 1x10" },
  ),
  {
    ...{ alert: "GatewayNotScraped", minute: 6, series: { 'up{job="other"}': "1x10" } },
    fires: { labels: JOB, summary: "Prometheus scrapes no gateway" },
  },
  { alert: "GatewayNotScraped", minute: 6, series: { up: "0x10" } },
  ...pair(
    ["GatewayNotReady", 3, "The gateway at a:8443 takes no messages"],
    { ready: "0x5" },
    { ready: "1 0 1x5" },
  ),
  ...pair(
    ["GatewayDegraded", 18, "The gateway at a:8443 takes messages, but something is wrong"],
    { degraded: "0 1x20" },
    { degraded: "2x10 0 2x10" },
  ),
  ...pair(
    ["GatewayRestarting", 15, "The gateway at a:8443 starts again and again"],
    { started_timestamp_seconds: "100x2 200x2 300x2 400x2 500x10" },
    { started_timestamp_seconds: "100x5 200x5 300x10" },
  ),
  ...pair(
    ["GatewayStoreFailing", 3, "The gateway at a:8443 cannot write its store"],
    { store_failing: "0 1x5" },
    { store_failing: "0x2 1 0x5" },
  ),
  ...pair(
    [
      "GatewayClockDiffers",
      6,
      "The clock of the gateway at a:8443 is not that of its store or backend",
    ],
    { store_clock_skew_seconds: "-3x10", backend_clock_skew_seconds: "0x10" },
    { store_clock_skew_seconds: "1x10", backend_clock_skew_seconds: "-30x10" },
  ),
  ...pair(
    [
      "GatewayClockDiffers",
      6,
      "The clock of the gateway at a:8443 is not that of its store or backend",
    ],
    { store_clock_skew_seconds: "0x10", backend_clock_skew_seconds: "-61x10" },
    { store_clock_skew_seconds: "0x10", backend_clock_skew_seconds: "61x2 0x10" },
  ),
];

const INTAKE: readonly AlertCase[] = [
  ...pair(
    ["GatewayBrokerDisconnected", 3, "The gateway at a:8443 is not connected to its broker"],
    { broker_connected: "1 0x5" },
    { broker_connected: "1x2 0 1x5" },
  ),
  ...pair(
    ["GatewayBrokerUnsteady", 25, "The gateway at a:8443 connects to its broker again and again"],
    { broker_connects_total: "0+1x30" },
    { broker_connects_total: "1x12 2x5 3x10" },
  ),
  ...pair(
    [
      "GatewayIntakePaused",
      3,
      "The outbox of the gateway at a:8443 is full: messages wait in the broker",
    ],
    { intake_paused: "0 1x5" },
    { intake_paused: "0x2 1 0x5" },
  ),
  ...pair(
    [
      "GatewayMessagesDropped",
      8,
      "Messages were dropped before the gateway at a:8443 could take them",
    ],
    { broker_dropped_total: "0x5 20x10", qos0_dropped_total: "0x15" },
    { broker_dropped_total: "500x15", qos0_dropped_total: "7x15" },
  ),
  {
    ...{ alert: "GatewayNoReadings", minute: 1_520 },
    series: { accepted_total: "0+60x1440 86400x120" },
    fires: {
      ...{ labels: JOB, summary: "No reading was accepted for an hour; a day ago there were some" },
    },
  },
  { alert: "GatewayNoReadings", minute: 1_520, series: { accepted_total: "0+60x1600" } },
  // A new site, which has had none yet.
  { alert: "GatewayNoReadings", minute: 1_520, series: { accepted_total: "0x1600" } },
  ...pair(
    ["GatewayRejections", 25, "More than 5% of the messages at a:8443 are rejected"],
    { 'rejected_total{code="replayed"}': "0+60x40", accepted_total: "0+600x40" },
    { 'rejected_total{code="replayed"}': "0+60x40", accepted_total: "0+6000x40" },
  ),
  // All of very few: a device that is tried out.
  {
    ...{ alert: "GatewayRejections", minute: 25 },
    series: { 'rejected_total{code="malformed"}': "0+2x40", accepted_total: "0x40" },
  },
  ...pair(
    ["GatewayKeysRefused", 25, "The API at a:8443 is asked with wrong keys"],
    { 'api_keys_refused_total{fault="unknown"}': "0+5x30" },
    { 'api_keys_refused_total{fault="unknown"}': "0+1x30" },
  ),
];

const DELIVERY: readonly AlertCase[] = [
  ...pair(
    ["GatewayBackendFailing", 8, "The backend takes nothing from the gateway at a:8443"],
    { backend_failing: "0 1x10" },
    { backend_failing: "1x4 0 1x10" },
  ),
  ...pair(
    ["GatewayBackendErrors", 40, "More than a fifth of the requests of a:8443 fail at the backend"],
    {
      'backend_outcomes_total{outcome="2xx"}': "0+60x60",
      'backend_outcomes_total{outcome="5xx"}': "0+30x60",
      backend_failing: "0x60",
    },
    {
      'backend_outcomes_total{outcome="2xx"}': "0+600x60",
      'backend_outcomes_total{outcome="5xx"}': "0+30x60",
      backend_failing: "0x60",
    },
  ),
  // GatewayBackendFailing says it already.
  {
    ...{ alert: "GatewayBackendErrors", minute: 40 },
    series: { 'backend_outcomes_total{outcome="none"}': "0+60x60", backend_failing: "1x60" },
  },
  ...pair(
    [
      "GatewayOutboxGrowing",
      6,
      "The outbox of the gateway at a:8443 is half full, or will be full within four hours",
    ],
    { pending: "60000x10", pending_limit: "100000x10" },
    { pending: "40000x10", pending_limit: "100000x10" },
  ),
  ...pair(
    [
      "GatewayOutboxGrowing",
      30,
      "The outbox of the gateway at a:8443 is half full, or will be full within four hours",
    ],
    { pending: "0+500x40", pending_limit: "100000x40" },
    { pending: "0+30x40", pending_limit: "100000x40" },
  ),
  ...pair(
    ["GatewayOldestPending", 6, "At a:8443 an entry has waited for the backend for 16m 40s"],
    { oldest_pending_seconds: "1000x10" },
    { oldest_pending_seconds: "600x10" },
  ),
  ...pair(
    ["GatewayStuckLanes", 12, "At a:8443 devices are held up by one entry each: 3"],
    { stuck_lanes: "0 3x15" },
    { stuck_lanes: "3x8 0 3x10" },
  ),
  ...pair(
    ["GatewayDeadLetters", 10, "The backend refuses readings of the gateway at a:8443 permanently"],
    { dead_lettered_total: "0x5 1x10" },
    { dead_lettered_total: "7x20" },
  ),
  ...pair(
    ["GatewayDeadLettersExpired", 10, "Dead letters at a:8443 were dropped over their limits"],
    { dead_letters_expired_total: "0x5 1x10" },
    { dead_letters_expired_total: "7x20" },
  ),
  ...pair(
    ["GatewayCommandsExpired", 40, "Commands by a:8443 expire before their devices come"],
    { 'command_states_total{state="expired"}': "0+1x60" },
    {
      'command_states_total{state="unconfirmed"}': "0+10x60",
      'command_states_total{state="expired"}': "0x10 3x50",
    },
  ),
];

const DAY = 86_400;

const EXPIRY: readonly AlertCase[] = [
  {
    ...{ alert: "GatewayExpiresSoon", minute: 61 },
    series: { 'expires_timestamp_seconds{file="certs/broker.crt"}': `${20 * DAY}x70` },
    fires: {
      labels: { ...FIRST, file: "certs/broker.crt" },
      summary: "certs/broker.crt of a:8443 expires in 19d 22h 59m 0s",
    },
  },
  {
    ...{ alert: "GatewayExpiresSoon", minute: 61 },
    series: { 'expires_timestamp_seconds{file="certs/broker.crt"}': `${40 * DAY}x70` },
  },
  {
    ...{ alert: "GatewayExpiresNow", minute: 61 },
    series: { 'expires_timestamp_seconds{file="certs/device-ca.crl"}': `${2 * DAY}x70` },
    fires: {
      labels: { ...FIRST, file: "certs/device-ca.crl" },
      summary: "certs/device-ca.crl of a:8443 expires within three days, or has expired",
    },
  },
  {
    ...{ alert: "GatewayExpiresNow", minute: 61 },
    series: { 'expires_timestamp_seconds{file="certs/device-ca.crl"}': `${20 * DAY}x70` },
  },
  {
    ...{ alert: "GatewayDevicesExpiring", minute: 61 },
    series: { devices_expiring: "2x70", [`devices_expiring{${B}}`]: "2x70" },
    fires: {
      labels: JOB,
      summary: "Certificates of devices expire within 30 days, or have expired: 2",
    },
  },
  { alert: "GatewayDevicesExpiring", minute: 61, series: { devices_expiring: "0x70" } },
];

const NODES: readonly AlertCase[] = [
  {
    ...{ alert: "GatewayNodeSilent", minute: 4 },
    series: { silent_nodes: "0 1x5", [`silent_nodes{${B}}`]: "0 1x5" },
    fires: { labels: JOB, summary: "Gateways on the shared store are not heard of: 1" },
  },
  { alert: "GatewayNodeSilent", minute: 4, series: { silent_nodes: "0 1 0x5" } },
  {
    ...{ alert: "GatewayListsBehind", minute: 7 },
    series: { lists_behind: "0x9", [`lists_behind{${B}}`]: "0 2x9" },
    fires: {
      labels: { ...JOB, instance: "b:8443", node: "b" },
      summary: "The broker of the gateway at b:8443 still lets revoked devices connect",
    },
  },
  { alert: "GatewayListsBehind", minute: 7, series: { lists_behind: "0 1x3 0x9" } },
  {
    ...{ alert: "GatewayNodeLags", minute: 11 },
    series: {
      'oldest_pending_seconds{node="a"}': "10x20",
      [`oldest_pending_seconds{${B}}`]: "700x20",
    },
    fires: {
      labels: { ...JOB, instance: "b:8443", node: "b" },
      summary: "The gateway b lags behind the others",
    },
  },
  {
    ...{ alert: "GatewayNodeLags", minute: 11 },
    series: {
      'oldest_pending_seconds{node="a"}': "700x20",
      [`oldest_pending_seconds{${B}}`]: "700x20",
    },
  },
  // Two sites that share nothing.
  {
    ...{ alert: "GatewayNodeLags", minute: 11 },
    series: {
      oldest_pending_seconds: "10x20",
      'oldest_pending_seconds{instance="c:8443"}': "700x20",
    },
  },
  {
    ...{ alert: "GatewayVersionsDiffer", minute: 61 },
    series: {
      'build_info{version="1",commit="",node_name="a"}': "1x70",
      [`build_info{version="2",commit="",node_name="b",${B}}`]: "1x70",
    },
    fires: { labels: JOB, summary: "Gateways on the shared store have different versions: 2" },
  },
  {
    ...{ alert: "GatewayVersionsDiffer", minute: 61 },
    series: {
      'build_info{version="1",commit="",node_name="a"}': "1x70",
      [`build_info{version="1",commit="",node_name="b",${B}}`]: "1x70",
    },
  },
];

/** Every case. */
export const ALERT_CASES: readonly AlertCase[] = [
  ...STATE,
  ...INTAKE,
  ...DELIVERY,
  ...EXPIRY,
  ...NODES,
];
