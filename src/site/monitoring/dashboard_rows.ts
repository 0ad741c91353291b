/**
 * What the dashboard shows: rows that are questions, in the order in which operators ask them.
 *
 * The rules are:
 * - each metric that is named exists (a test compares), and has the selector of the variables;
 * - counts are shown for each gateway, by its `instance` and, where several share a store, `node`.
 */

/** One curve, or a set of them. */
interface Query {
  readonly expr: string;
  readonly legend: string;
}

/** One panel. */
export interface Panel {
  readonly title: string;
  /** Shown behind the panel's "i". */
  readonly help?: string;
  readonly kind: "stat" | "graph" | "table";
  /** As Grafana names it. */
  readonly unit: string;
  readonly queries: readonly Query[];
  /** Of 24. */
  readonly width: number;
  /** From here on it is shown in orange, and in red. */
  readonly thresholds?: { readonly orange?: number; readonly red: number };
}

/** A question, and what answers it. */
export interface DashboardRow {
  readonly question: string;
  readonly panels: readonly Panel[];
}

/** The gateways that are chosen. */
const CHOSEN = '{job="$job",instance=~"$instance"}';

/** A metric of theirs. */
function of(name: string): string {
  return `secure_iot_gateway_${name}${CHOSEN}`;
}

function rateOf(name: string): string {
  return `rate(${of(name)}[$__rate_interval])`;
}

const EACH = "{{node}} {{instance}}";

function each(expr: string, of = ""): Query {
  return { expr, legend: of === "" ? EACH : `${of} · ${EACH}` };
}

function by(label: string, name: string): Query {
  return { expr: `sum by (${label}) (${rateOf(name)})`, legend: `{{${label}}}` };
}

function quantile(share: number): Query {
  const buckets = `sum by (le) (${rateOf("intake_to_backend_seconds_bucket")})`;
  return { expr: `histogram_quantile(${share}, ${buckets})`, legend: `${share * 100}%` };
}

const STATE = { kind: "stat", unit: "short", width: 3 } as const;
const GRAPH = { kind: "graph", width: 8 } as const;

/** Every row. */
export const DASHBOARD_ROWS: readonly DashboardRow[] = [
  {
    question: "Is it well?",
    panels: [
      {
        ...STATE,
        title: "Not there",
        help: "Gateways that Prometheus cannot scrape",
        queries: [{ expr: `sum(1 - up${CHOSEN})`, legend: "" }],
        thresholds: { red: 1 },
      },
      {
        ...STATE,
        title: "Not ready",
        help: "Gateways that take no messages: GET /readyz says why",
        queries: [{ expr: `sum(1 - ${of("ready")})`, legend: "" }],
        thresholds: { red: 1 },
      },
      {
        ...STATE,
        title: "Degraded",
        help: "What else is wrong: degraded in GET /readyz says it in words",
        queries: [{ expr: `sum(${of("degraded")})`, legend: "" }],
        thresholds: { orange: 1, red: 100 },
      },
      {
        ...STATE,
        title: "Broker away",
        queries: [{ expr: `sum(1 - ${of("broker_connected")})`, legend: "" }],
        thresholds: { red: 1 },
      },
      {
        ...STATE,
        title: "Backend failing",
        queries: [{ expr: `sum(${of("backend_failing")})`, legend: "" }],
        thresholds: { red: 1 },
      },
      {
        ...STATE,
        title: "Store failing",
        queries: [{ expr: `sum(${of("store_failing")})`, legend: "" }],
        thresholds: { red: 1 },
      },
      {
        ...STATE,
        title: "Intake paused",
        help: "The outbox is full: messages wait in the broker",
        queries: [{ expr: `sum(${of("intake_paused")})`, legend: "" }],
        thresholds: { red: 1 },
      },
      {
        ...STATE,
        title: "Waiting",
        help: "Entries in the outbox",
        queries: [{ expr: `sum(${of("pending")})`, legend: "" }],
      },
    ],
  },
  {
    question: "What flows?",
    panels: [
      {
        ...GRAPH,
        title: "Accepted",
        unit: "cps",
        queries: [each(rateOf("accepted_total"))],
      },
      {
        ...GRAPH,
        title: "Delivered",
        unit: "cps",
        queries: [
          each(rateOf("delivered_total")),
          each(rateOf("callbacks_delivered_total"), "callbacks"),
        ],
      },
      {
        ...GRAPH,
        title: "From arrival to the first POST",
        unit: "s",
        queries: [quantile(0.5), quantile(0.95), quantile(0.99)],
      },
      {
        ...GRAPH,
        title: "Repeated and late",
        help: "Deliveries that the broker repeated, and messages that had waited in it",
        unit: "cps",
        queries: [
          each(rateOf("duplicates_total"), "repeated"),
          each(rateOf("late_total"), "late"),
        ],
      },
      {
        ...GRAPH,
        title: "Receipts, by what they say",
        unit: "cps",
        queries: [
          by("result", "receipts_sent_total"),
          { ...by("why", "receipts_dropped_total"), legend: "not sent: {{why}}" },
        ],
      },
      {
        ...GRAPH,
        title: "Dropped before they were accepted",
        unit: "short",
        queries: [
          each(`increase(${of("broker_dropped_total")}[$__rate_interval])`, "by the broker"),
          each(`increase(${of("qos0_dropped_total")}[$__rate_interval])`, "QoS 0"),
        ],
      },
    ],
  },
  {
    question: "What waits?",
    panels: [
      {
        ...GRAPH,
        title: "Entries in the outbox",
        unit: "short",
        queries: [each(of("pending")), each(of("pending_limit"), "full at")],
      },
      {
        ...GRAPH,
        title: "Age of the oldest entry",
        unit: "s",
        queries: [each(of("oldest_pending_seconds"))],
      },
      {
        ...GRAPH,
        title: "Devices held up by one entry",
        help: "outbox list says by which",
        unit: "short",
        queries: [each(of("stuck_lanes"))],
      },
      {
        ...GRAPH,
        title: "What the backend answers",
        help: "none: no answer came",
        unit: "cps",
        queries: [by("outcome", "backend_outcomes_total")],
      },
      {
        ...GRAPH,
        title: "Tries that will be repeated",
        unit: "cps",
        queries: [each(rateOf("retried_total"))],
      },
      {
        ...GRAPH,
        title: "Taking what waited in the broker",
        unit: "short",
        queries: [each(of("catching_up"))],
      },
    ],
  },
  {
    question: "What is refused?",
    panels: [
      {
        ...GRAPH,
        title: "Rejected messages, by code",
        help: "audit export says of which device",
        unit: "cps",
        queries: [by("code", "rejected_total")],
      },
      {
        ...GRAPH,
        title: "Requests with a wrong API key",
        unit: "cps",
        queries: [by("fault", "api_keys_refused_total")],
      },
      {
        ...GRAPH,
        title: "Refused commands, by reason",
        unit: "cps",
        queries: [by("reason", "commands_refused_total")],
      },
    ],
  },
  {
    question: "What died?",
    panels: [
      {
        ...GRAPH,
        title: "Dead letters",
        help: "dead list says which",
        unit: "short",
        queries: [each(of("dead_letters"))],
      },
      {
        ...GRAPH,
        title: "Became dead letters",
        unit: "short",
        queries: [each(`increase(${of("dead_lettered_total")}[$__rate_interval])`)],
      },
      {
        ...GRAPH,
        title: "Dead letters and callbacks that were dropped",
        unit: "short",
        queries: [
          each(`increase(${of("dead_letters_expired_total")}[$__rate_interval])`, "over limits"),
          each(`increase(${of("callbacks_dropped_total")}[$__rate_interval])`, "callbacks"),
        ],
      },
    ],
  },
  {
    question: "What was asked of devices?",
    panels: [
      {
        ...GRAPH,
        title: "Commands accepted, by what the broker said",
        unit: "cps",
        queries: [by("delivery", "commands_accepted_total")],
      },
      {
        ...GRAPH,
        title: "Commands, by the state they came to",
        unit: "cps",
        queries: [
          by("state", "command_states_total"),
          each(rateOf("acknowledgements_unmatched_total"), "acknowledged, but unknown"),
        ],
      },
      {
        ...GRAPH,
        title: "Commands that wait for their devices",
        unit: "short",
        queries: [each(of("commands_waiting"))],
      },
    ],
  },
  {
    question: "What ends?",
    panels: [
      {
        title: "Certificates and lists, soonest first",
        ...{ kind: "table", unit: "s", width: 16 },
        queries: [{
          expr: `sort(${of("expires_timestamp_seconds")} - time())`,
          legend: "{{file}}",
        }],
      },
      {
        ...STATE,
        title: "Devices whose certificates expire",
        help: "Within 30 days, or they have expired",
        queries: [{ expr: `max(${of("devices_expiring")})`, legend: "" }],
        ...{ width: 8, thresholds: { orange: 1, red: 1_000_000 } },
      },
      {
        title: "The certificate that each gateway shows to its broker",
        help: "By its serial number",
        ...{ kind: "table", unit: "short", width: 24 },
        queries: [{ expr: of("broker_certificate_info"), legend: `${EACH} {{serial}}` }],
      },
    ],
  },
  {
    question: "How is each gateway?",
    panels: [
      {
        title: "Versions",
        ...{ kind: "table", unit: "short", width: 8 },
        queries: [{ expr: of("build_info"), legend: EACH }],
      },
      {
        ...GRAPH,
        title: "Starts",
        help: "How long ago the worker was started",
        unit: "s",
        queries: [each(`time() - ${of("started_timestamp_seconds")}`)],
      },
      {
        ...GRAPH,
        title: "Connections to the broker",
        unit: "short",
        queries: [each(`increase(${of("broker_connects_total")}[$__rate_interval])`)],
      },
      {
        ...GRAPH,
        title: "Ahead of the other clock",
        unit: "s",
        queries: [
          each(of("store_clock_skew_seconds"), "the store's"),
          each(of("backend_clock_skew_seconds"), "the backend's"),
        ],
      },
      {
        ...GRAPH,
        title: "Devices and remembered ids",
        unit: "short",
        queries: [each(of("devices"), "devices"), each(of("replay_ids"), "ids")],
      },
      {
        ...GRAPH,
        title: "Other gateways",
        help: "Those that are silent, devices that are elsewhere, entries that were taken over, " +
          "lists that the broker does not use yet",
        unit: "short",
        queries: [
          each(of("silent_nodes"), "silent"),
          each(of("devices_elsewhere"), "devices elsewhere"),
          each(of("lists_behind"), "lists behind"),
          each(`increase(${of("adopted_total")}[$__rate_interval])`, "taken over"),
        ],
      },
    ],
  },
];
