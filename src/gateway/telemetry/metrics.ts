/** What the gateway counts, in Prometheus' text format. */

import { Counter, Gauge, Histogram, Registry as PrometheusRegistry } from "prom-client";
import { COMMAND_DELIVERIES, COMMAND_STATES } from "../../core/command_life.ts";
import type { StoreCounts } from "../../core/ports.ts";
import { KEY_FAULTS } from "../../core/event.ts";
import { RECEIPT_DROPS, RECEIPT_RESULTS } from "../../core/receipt.ts";
import { REJECTION_CODES } from "../../core/rejection.ts";
import { secondsOf } from "../../core/time.ts";

const PREFIX = "secure_iot_gateway_";

/** Upper bounds of the intake-to-backend histogram, seconds. */
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300, 3600];

/** How a request to the backend can end. */
const BACKEND_OUTCOMES = ["2xx", "3xx", "4xx", "5xx", "none"] as const;
export type BackendOutcome = typeof BACKEND_OUTCOMES[number];

/** What gauges ask when they are read. */
interface Gauges {
  readonly pending: () => number;
  readonly devices: () => number;
  readonly brokerConnected: () => boolean;
  readonly intakePaused: () => boolean;
  readonly catchingUp: () => boolean;
  readonly forwarder: { readonly isBackendFailing: boolean; readonly stuckLanes: number };
  /** The clock of `StoreCounts.oldestAcceptedMs`. */
  readonly steadyMs: () => number;
  readonly counts: () => Promise<StoreCounts>;
  /** This gateway among others; undefined: it is alone. */
  readonly cluster: { readonly devicesElsewhere: number; readonly skewSeconds: number } | undefined;
}

/** All counters of one gateway. */
export class Metrics {
  readonly #prometheus = new PrometheusRegistry();
  readonly accepted = this.#counter("accepted_total", "Messages accepted and stored");
  readonly duplicates = this.#counter("duplicates_total", "Repeated deliveries by the broker");
  readonly rejected = this.#labelled("rejected_total", "Messages rejected, by code", "code");
  readonly delivered = this.#counter("delivered_total", "Readings that the backend took");
  readonly callbacksDelivered = this.#counter(
    "callbacks_delivered_total",
    "Callbacks that the backend took",
  );
  readonly callbacksDropped = this.#counter(
    "callbacks_dropped_total",
    "Callbacks dropped because commands.callback is empty",
  );
  readonly retried = this.#counter("retried_total", "Tries that failed and will be repeated");
  readonly backendOutcomes = this.#labelled(
    "backend_outcomes_total",
    "Requests to the backend, by the class of its answer; none: no answer came",
    "outcome",
  );
  readonly deadLettered = this.#counter("dead_lettered_total", "Entries that became dead letters");
  readonly late = this.#counter("late_total", "Messages accepted that had waited in the broker");
  readonly deadLettersExpired = this.#counter(
    "dead_letters_expired_total",
    "Dead letters dropped over the limits",
  );
  readonly adopted = this.#counter(
    "adopted_total",
    "Entries taken over from gateways that are not heard of any longer",
  );
  readonly brokerDropped = this.#counter(
    "broker_dropped_total",
    "Messages that the broker says it has dropped",
  );
  readonly qos0Dropped = this.#counter(
    "qos0_dropped_total",
    "QoS 0 messages dropped because the intake queue was full",
  );
  readonly commandsAccepted = this.#labelled(
    "commands_accepted_total",
    "Commands accepted from the backend, by what the broker said at once",
    "delivery",
  );
  readonly commandStates = this.#labelled(
    "command_states_total",
    "Commands that came to a state after they were accepted, by state",
    "state",
  );
  readonly acknowledgementsUnmatched = this.#counter(
    "acknowledgements_unmatched_total",
    "Acknowledgements of what is no command to the device",
  );
  readonly commandsRefused = new Counter({
    name: `${PREFIX}commands_refused_total`,
    help: "Commands that were not sent, by the problem that was answered",
    labelNames: ["reason"],
    registers: [this.#prometheus],
  });
  readonly apiKeysRefused = new Counter({
    name: `${PREFIX}api_keys_refused_total`,
    help: "Requests without the right API key, by what was wrong",
    labelNames: ["fault"],
    registers: [this.#prometheus],
  });
  readonly receiptsSent = this.#labelled(
    "receipts_sent_total",
    "Receipts that the broker took, by what they say",
    "result",
  );
  readonly receiptsDropped = this.#labelled(
    "receipts_dropped_total",
    "Receipts that were not sent, by why",
    "why",
  );
  readonly brokerConnects = this.#counter("broker_connects_total", "Connections to the broker");
  readonly intakeToBackend = new Histogram({
    name: `${PREFIX}intake_to_backend_seconds`,
    help: "From a message's arrival to its first POST to the backend",
    buckets: SECONDS,
    registers: [this.#prometheus],
  });
  readonly fileEnds = new Gauge({
    name: `${PREFIX}expires_timestamp_seconds`,
    help: "When the first certificate or list in a file expires, Unix seconds",
    labelNames: ["file"],
    registers: [this.#prometheus],
  });
  readonly devicesEnding = new Gauge({
    name: `${PREFIX}devices_expiring`,
    help: "Devices whose certificate expires within 30 days, or has expired",
    registers: [this.#prometheus],
  });

  constructor(gauges: Gauges) {
    for (const code of REJECTION_CODES) this.rejected.inc({ code }, 0);
    for (const delivery of COMMAND_DELIVERIES) this.commandsAccepted.inc({ delivery }, 0);
    for (const state of COMMAND_STATES) this.commandStates.inc({ state }, 0);
    for (const result of RECEIPT_RESULTS) this.receiptsSent.inc({ result }, 0);
    for (const why of RECEIPT_DROPS) this.receiptsDropped.inc({ why }, 0);
    for (const outcome of BACKEND_OUTCOMES) this.backendOutcomes.inc({ outcome }, 0);
    for (const fault of KEY_FAULTS) this.apiKeysRefused.inc({ fault }, 0);
    this.#gauge("pending", "Entries in the outbox", gauges.pending);
    const counts = async (name: keyof StoreCounts) => (await gauges.counts())[name];
    this.#gauge(
      "oldest_pending_seconds",
      "Age of the oldest entry in the outbox",
      async () => Math.max(0, secondsOf(gauges.steadyMs() - await counts("oldestAcceptedMs"))),
    );
    const { forwarder } = gauges;
    this.#gauge("stuck_lanes", "Devices held up by one entry", () => forwarder.stuckLanes);
    this.#gauge(
      "backend_failing",
      "1 while the backend takes nothing",
      () => Number(forwarder.isBackendFailing),
    );
    this.#gauge("dead_letters", "Dead letters", () => counts("deadLetters"));
    this.#gauge("commands_waiting", "Commands that wait", () => counts("commandsWaiting"));
    this.#gauge("replay_ids", "Message ids remembered", () => counts("replayIds"));
    this.#gauge(
      "lists_behind",
      "Lists in the shared store that this gateway's broker does not use yet",
      () => counts("listsBehind"),
    );
    this.#gauge("devices", "Devices in the registry", gauges.devices);
    this.#gauge("broker_connected", "1 while connected", () => Number(gauges.brokerConnected()));
    this.#gauge("catching_up", "1 while taking what waited", () => Number(gauges.catchingUp()));
    this.#gauge("intake_paused", "1 while the outbox is full", () => Number(gauges.intakePaused()));
    const { cluster } = gauges;
    this.#gauge(
      "devices_elsewhere",
      "Devices that were heard last at another gateway",
      () => cluster?.devicesElsewhere ?? 0,
    );
    this.#gauge(
      "store_clock_skew_seconds",
      "By how much this machine's clock is ahead of the store's",
      () => cluster?.skewSeconds ?? 0,
    );
  }

  /** The exposition's content type. */
  get contentType(): string {
    return this.#prometheus.contentType;
  }

  /** The exposition, read now. */
  async text(): Promise<string> {
    return await this.#prometheus.metrics();
  }

  #labelled(name: string, help: string, label: string): Counter {
    const registers = [this.#prometheus];
    return new Counter({ name: PREFIX + name, help, labelNames: [label], registers });
  }

  #counter(name: string, help: string): Counter {
    return new Counter({ name: PREFIX + name, help, registers: [this.#prometheus] });
  }

  #gauge(name: string, help: string, read: () => number | Promise<number>): void {
    new Gauge({
      name: PREFIX + name,
      help,
      registers: [this.#prometheus],
      async collect() {
        this.set(await read());
      },
    });
  }
}
