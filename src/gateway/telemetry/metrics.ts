/** What the gateway counts, in Prometheus' text format. */

import { Counter, Gauge, Histogram, Registry as PrometheusRegistry } from "prom-client";
import { COMMAND_DELIVERIES, COMMAND_STATES } from "../../core/command_life.ts";
import { KEY_FAULTS } from "../../core/event.ts";
import { RECEIPT_DROPS, RECEIPT_RESULTS } from "../../core/receipt.ts";
import { REJECTION_CODES } from "../../core/rejection.ts";
import { type GaugeRow, Gauges, type GaugeSources } from "./gauges.ts";

const PREFIX = "secure_iot_gateway_";

/** Upper bounds of the intake-to-backend histogram, seconds. */
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300, 3600];

/** How a request to the backend can end. */
const BACKEND_OUTCOMES = ["2xx", "3xx", "4xx", "5xx", "none"] as const;
export type BackendOutcome = typeof BACKEND_OUTCOMES[number];

/** Which program this is. */
interface Build {
  readonly version: string;
  /** Undefined: it runs from source. */
  readonly commit: string | undefined;
  /** Empty: this gateway is alone. */
  readonly node: string;
  /** When it was started, Unix seconds. */
  readonly startedSeconds: number;
  /** Serial number of the certificate that the broker is shown, lower-case hex. */
  readonly brokerCertificate: string;
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

  readonly #gauges: Gauges;

  constructor(sources: GaugeSources, build: Build) {
    for (const code of REJECTION_CODES) this.rejected.inc({ code }, 0);
    for (const delivery of COMMAND_DELIVERIES) this.commandsAccepted.inc({ delivery }, 0);
    for (const state of COMMAND_STATES) this.commandStates.inc({ state }, 0);
    for (const result of RECEIPT_RESULTS) this.receiptsSent.inc({ result }, 0);
    for (const why of RECEIPT_DROPS) this.receiptsDropped.inc({ why }, 0);
    for (const outcome of BACKEND_OUTCOMES) this.backendOutcomes.inc({ outcome }, 0);
    for (const fault of KEY_FAULTS) this.apiKeysRefused.inc({ fault }, 0);
    this.#gauges = new Gauges(sources);
    for (const row of this.#gauges.rows()) this.#gauge(row);
    this.#tellBuild(build);
  }

  /** The exposition's content type. */
  get contentType(): string {
    return this.#prometheus.contentType;
  }

  /** The exposition, read now. */
  async text(): Promise<string> {
    await this.#gauges.refresh();
    return await this.#prometheus.metrics();
  }

  #labelled(name: string, help: string, label: string): Counter {
    const registers = [this.#prometheus];
    return new Counter({ name: PREFIX + name, help, labelNames: [label], registers });
  }

  #counter(name: string, help: string): Counter {
    return new Counter({ name: PREFIX + name, help, registers: [this.#prometheus] });
  }

  #gauge({ name, help, read }: GaugeRow): void {
    new Gauge({
      name: PREFIX + name,
      help,
      registers: [this.#prometheus],
      collect() {
        const value = read();
        if (value === undefined) this.remove();
        else this.set(value);
      },
    });
  }

  #tellBuild({ version, commit = "", node, startedSeconds, brokerCertificate }: Build): void {
    const registers = [this.#prometheus];
    new Gauge({
      name: `${PREFIX}build_info`,
      help: "1; which version runs, from which commit, and its node.name",
      labelNames: ["version", "commit", "node_name"],
      registers,
    }).set({ version, commit, node_name: node }, 1);
    new Gauge({
      name: `${PREFIX}broker_certificate_info`,
      help: "1; the serial number of the certificate that the gateway shows to the broker",
      labelNames: ["serial"],
      registers,
    }).set({ serial: brokerCertificate }, 1);
    new Gauge({
      name: `${PREFIX}started_timestamp_seconds`,
      help: "When the worker was started, Unix seconds",
      registers,
    }).set(startedSeconds);
  }
}
