/**
 * What to wake somebody for, as Prometheus' alerting rules.
 *
 * The rules are:
 * - each has its heading in docs/operator/alerts.md, which says what to look at and what to do;
 * - `critical`: readings are not taken, not delivered or about to be lost; `warning`: it can wait for
 *   the morning;
 * - a rule is about the gateway's own counts, or about `up` of the job in the scrape configuration;
 * - each has a test that fires and one that does not.
 */

/** The job under which Prometheus scrapes gateways. */
export const SCRAPE_JOB = "secure-iot-gateway";

/** The page with a heading for each rule. */
export const ALERTS_PAGE = "docs/operator/alerts.md";

/** One rule. */
export interface AlertRule {
  readonly name: string;
  readonly expr: string;
  /** How long it must hold. */
  readonly for: string;
  readonly severity: "critical" | "warning";
  /** May name labels, as Prometheus' templates do. */
  readonly summary: string;
  /** What to do first. */
  readonly action: string;
}

const AT = "{{ $labels.instance }}";

/** Whether it is there, and whether it takes messages. */
const STATE_RULES: readonly AlertRule[] = [
  {
    name: "GatewayMissing",
    expr: `up{job="${SCRAPE_JOB}"} == 0`,
    ...{ for: "2m", severity: "critical" },
    summary: `The gateway at ${AT} cannot be scraped`,
    action: "See whether it runs; if it does, what /metrics answers to Prometheus' key",
  },
  {
    name: "GatewayNotScraped",
    expr: `absent(up{job="${SCRAPE_JOB}"})`,
    ...{ for: "5m", severity: "critical" },
    summary: "Prometheus scrapes no gateway",
    action: "Put the output of monitor scrape into Prometheus' configuration",
  },
  {
    name: "GatewayNotReady",
    expr: "secure_iot_gateway_ready == 0",
    ...{ for: "2m", severity: "critical" },
    summary: `The gateway at ${AT} takes no messages`,
    action: "GET /readyz says why",
  },
  {
    name: "GatewayDegraded",
    expr: "secure_iot_gateway_degraded > 0",
    ...{ for: "15m", severity: "warning" },
    summary: `The gateway at ${AT} takes messages, but something is wrong`,
    action: "GET /readyz says what, in degraded",
  },
  {
    name: "GatewayRestarting",
    expr: "changes(secure_iot_gateway_started_timestamp_seconds[1h]) > 3",
    ...{ for: "1m", severity: "warning" },
    summary: `The gateway at ${AT} starts again and again`,
    action: "Read the log for worker_died, and for what came before it",
  },
  {
    name: "GatewayStoreFailing",
    expr: "secure_iot_gateway_store_failing == 1",
    ...{ for: "1m", severity: "critical" },
    summary: `The gateway at ${AT} cannot write its store`,
    action: "The log event store_failed has the reason: a full disk, or the database server",
  },
  {
    name: "GatewayClockDiffers",
    expr: `abs(secure_iot_gateway_store_clock_skew_seconds) > 2
or
abs(secure_iot_gateway_backend_clock_skew_seconds) > 60`,
    ...{ for: "5m", severity: "warning" },
    summary: `The clock of the gateway at ${AT} is not that of its store or backend`,
    action: "Compare the clocks (timedatectl); a wrong one refuses good messages",
  },
];

/** From devices to the gateway. */
const INTAKE_RULES: readonly AlertRule[] = [
  {
    name: "GatewayBrokerDisconnected",
    expr: "secure_iot_gateway_broker_connected == 0",
    ...{ for: "1m", severity: "critical" },
    summary: `The gateway at ${AT} is not connected to its broker`,
    action: "See whether Mosquitto runs; the log event broker_unreachable has the reason",
  },
  {
    name: "GatewayBrokerUnsteady",
    expr: "increase(secure_iot_gateway_broker_connects_total[15m]) > 5",
    ...{ for: "5m", severity: "warning" },
    summary: `The gateway at ${AT} connects to its broker again and again`,
    action: "Look for session_taken_over in the log: a second gateway with the same client id",
  },
  {
    name: "GatewayIntakePaused",
    expr: "secure_iot_gateway_intake_paused == 1",
    ...{ for: "1m", severity: "critical" },
    summary: `The outbox of the gateway at ${AT} is full: messages wait in the broker`,
    action: "Bring the backend back; the broker has limits of its own, beyond which it drops",
  },
  {
    name: "GatewayMessagesDropped",
    expr: `increase(secure_iot_gateway_broker_dropped_total[15m])
  + increase(secure_iot_gateway_qos0_dropped_total[15m]) > 0`,
    ...{ for: "1m", severity: "critical" },
    summary: `Messages were dropped before the gateway at ${AT} could take them`,
    action: "Find out why it was down or full; devices that await answers send again",
  },
  {
    name: "GatewayNoReadings",
    expr: `sum by (job) (increase(secure_iot_gateway_accepted_total[1h])) == 0
and
sum by (job) (increase(secure_iot_gateway_accepted_total[1h] offset 1d)) > 0`,
    ...{ for: "15m", severity: "warning" },
    summary: "No reading was accepted for an hour; a day ago there were some",
    action: "device list --silent 1h; then the network, or the broker's port for devices",
  },
  {
    name: "GatewayRejections",
    expr: `sum without (code) (rate(secure_iot_gateway_rejected_total[10m])) > 0.1
and
sum without (code) (rate(secure_iot_gateway_rejected_total[10m]))
  > 0.05 * (sum without (code) (rate(secure_iot_gateway_rejected_total[10m]))
    + rate(secure_iot_gateway_accepted_total[10m]))`,
    ...{ for: "10m", severity: "warning" },
    summary: `More than 5% of the messages at ${AT} are rejected`,
    action: "The dashboard says which code; audit export --since 1h which device",
  },
  {
    name: "GatewayKeysRefused",
    expr: "sum without (fault) (increase(secure_iot_gateway_api_keys_refused_total[15m])) > 20",
    ...{ for: "5m", severity: "warning" },
    summary: `The API at ${AT} is asked with wrong keys`,
    action: "The log event api_key_refused has the address: an old key, or somebody guesses",
  },
];

/** From the gateway to the backend, and back. */
const DELIVERY_RULES: readonly AlertRule[] = [
  {
    name: "GatewayBackendFailing",
    expr: "secure_iot_gateway_backend_failing == 1",
    ...{ for: "5m", severity: "critical" },
    summary: `The backend takes nothing from the gateway at ${AT}`,
    action: "backend_unreachable or backend_failing in the log has the reason. Readings wait",
  },
  {
    name: "GatewayBackendErrors",
    expr: `(
  sum without (outcome) (rate(secure_iot_gateway_backend_outcomes_total{outcome!="2xx"}[10m]))
    > 0.2 * sum without (outcome) (rate(secure_iot_gateway_backend_outcomes_total[10m]))
)
unless secure_iot_gateway_backend_failing == 1`,
    ...{ for: "15m", severity: "warning" },
    summary: `More than a fifth of the requests of ${AT} fail at the backend`,
    action: "The dashboard says with which class of status; then the backend's own log",
  },
  {
    name: "GatewayOutboxGrowing",
    expr: `secure_iot_gateway_pending > 0.5 * secure_iot_gateway_pending_limit
or
(
  predict_linear(secure_iot_gateway_pending[15m], 4 * 3600) > secure_iot_gateway_pending_limit
  and secure_iot_gateway_pending > 1000
)`,
    ...{ for: "5m", severity: "warning" },
    summary: `The outbox of the gateway at ${AT} is half full, or will be full within four hours`,
    action: "The backend is away or too slow; see backend.concurrency and backend.batch_max",
  },
  {
    name: "GatewayOldestPending",
    expr: "secure_iot_gateway_oldest_pending_seconds > 900",
    ...{ for: "5m", severity: "warning" },
    summary: `At ${AT} an entry has waited for the backend for {{ $value | humanizeDuration }}`,
    action: "outbox list; after backend.give_up_after it becomes a dead letter",
  },
  {
    name: "GatewayStuckLanes",
    expr: "secure_iot_gateway_stuck_lanes > 0",
    ...{ for: "10m", severity: "warning" },
    summary: `At ${AT} devices are held up by one entry each: {{ $value }}`,
    action: "outbox list says by which; correct the backend, or outbox drop SEQUENCE",
  },
  {
    name: "GatewayDeadLetters",
    expr: "increase(secure_iot_gateway_dead_lettered_total[15m]) > 0",
    ...{ for: "1m", severity: "warning" },
    summary: `The backend refuses readings of the gateway at ${AT} permanently`,
    action: "dead list; correct the backend, then dead retry, or dead drop",
  },
  {
    name: "GatewayDeadLettersExpired",
    expr: "increase(secure_iot_gateway_dead_letters_expired_total[1h]) > 0",
    ...{ for: "1m", severity: "critical" },
    summary: `Dead letters at ${AT} were dropped over their limits`,
    action: "dead list, and retry or drop what is there; dead_letters.max_count is the limit",
  },
  {
    name: "GatewayCommandsExpired",
    expr: `sum without (state) (
  increase(secure_iot_gateway_command_states_total{state="expired"}[1h])
) > 10`,
    ...{ for: "5m", severity: "warning" },
    summary: `Commands by ${AT} expire before their devices come`,
    action: "commands list --state expired; device list --silent 1h: are these devices there?",
  },
];

/** What ends. */
const EXPIRY_RULES: readonly AlertRule[] = [
  {
    name: "GatewayExpiresSoon",
    expr: "secure_iot_gateway_expires_timestamp_seconds - time() < 30 * 86400",
    ...{ for: "1h", severity: "warning" },
    summary: `{{ $labels.file }} of ${AT} expires in {{ $value | humanizeDuration }}`,
    action: "certificate renew broker, gateway or api; another file: replace it, then reload",
  },
  {
    name: "GatewayExpiresNow",
    expr: "secure_iot_gateway_expires_timestamp_seconds - time() < 3 * 86400",
    ...{ for: "1h", severity: "critical" },
    summary: `{{ $labels.file }} of ${AT} expires within three days, or has expired`,
    action: "certificate renew today, or replace the file; an expired list refuses every device",
  },
  {
    name: "GatewayDevicesExpiring",
    expr: "max by (job) (secure_iot_gateway_devices_expiring) > 0",
    ...{ for: "1h", severity: "warning" },
    summary: "Certificates of devices expire within 30 days, or have expired: {{ $value }}",
    action: "device list says which; device rotate ID --certificate",
  },
];

/** Several gateways on one store. */
const NODE_RULES: readonly AlertRule[] = [
  {
    name: "GatewayNodeSilent",
    expr: "max by (job) (secure_iot_gateway_silent_nodes) > 0",
    ...{ for: "2m", severity: "critical" },
    summary: "Gateways on the shared store are not heard of: {{ $value }}",
    action: "node list says which. Start it, or node remove NAME if it never comes back",
  },
  {
    name: "GatewayNodeLags",
    expr: `secure_iot_gateway_oldest_pending_seconds{node!=""}
  - on (job) group_left ()
    min by (job) (secure_iot_gateway_oldest_pending_seconds{node!=""}) > 300`,
    ...{ for: "10m", severity: "warning" },
    summary: `The gateway {{ $labels.node }} lags behind the others`,
    action: "Compare how it reaches the backend, its disk and its load with the others'",
  },
  {
    name: "GatewayListsBehind",
    expr: "secure_iot_gateway_lists_behind > 0",
    ...{ for: "5m", severity: "warning" },
    summary: `The broker of the gateway at ${AT} still lets revoked devices connect`,
    action: "node list says why; systemctl status secure-iot-gateway-lists there",
  },
  {
    name: "GatewayVersionsDiffer",
    expr: `count by (job) (
  count by (job, version, commit) (secure_iot_gateway_build_info{node_name!=""})
) > 1`,
    ...{ for: "1h", severity: "warning" },
    summary: "Gateways on the shared store have different versions: {{ $value }}",
    action: "Finish the upgrade, as the page on upgrades says",
  },
];

/** Every rule, as groups. */
export const ALERT_GROUPS: readonly {
  readonly name: string;
  readonly rules: readonly AlertRule[];
}[] = [
  { name: "secure-iot-gateway-state", rules: STATE_RULES },
  { name: "secure-iot-gateway-intake", rules: INTAKE_RULES },
  { name: "secure-iot-gateway-delivery", rules: DELIVERY_RULES },
  { name: "secure-iot-gateway-expiry", rules: EXPIRY_RULES },
  { name: "secure-iot-gateway-nodes", rules: NODE_RULES },
];
