/** `certificate renew`. */

import type { Config } from "../config/config.ts";
import { renewCertificate, type RenewStep } from "../site/operations/renew_certificate.ts";
import type { RenewFault, RenewTarget } from "../site/operations/renew_fault.ts";
import type { GatewayView } from "../site/operations/told_servers.ts";
import { exists } from "../site/exists.ts";
import { openGateway } from "./gateway_api.ts";
import { type JsonOption, printJson } from "./json_output.ts";
import { configOf, layoutOf, withStore } from "./open_site.ts";
import { programName } from "./program_name.ts";
import { brokerSentence, faultSentence } from "./revocation_report.ts";
import { CommandError, EXIT, print, printable } from "./terminal.ts";

/** What `certificate renew` may be told. */
interface RenewOptions extends JsonOption {
  readonly host: readonly string[];
  readonly addHost: readonly string[];
  readonly removeHost: readonly string[];
  readonly validDays?: number;
}

const WHOSE: Readonly<Record<RenewTarget, string>> = {
  broker: "the broker",
  gateway: "the gateway",
  api: "the API",
};
const CERTIFICATE_INFO = /^secure_iot_gateway_broker_certificate_info\{serial="([0-9a-f]+)"\} 1$/m;
const CONNECTED = /^secure_iot_gateway_broker_connected 1$/m;
const OK = 200;
const USAGE_KINDS = ["host_not_usable", "host_not_named", "names_not_usable"];

/** Gives broker, gateway or API a new key and certificate, without a gap. */
export async function certificateRenew(target: RenewTarget, options: RenewOptions): Promise<void> {
  const layout = layoutOf(options);
  const config = configOf(layout);
  const site = { layout, config, nowMs: Date.now() };
  const { host, addHost: added, removeHost: removed, validDays: days } = options;
  const hosts = host.length === 0 ? undefined : host;
  const { steps, fault } = await withStore(config, async ({ audit }) => {
    const gatewaySays = await viewOf(config, options);
    const asked = { target, hosts, added, removed, days, gatewaySays };
    return await renewCertificate(audit, site, asked);
  });
  if (options.json) printJson({ target, complete: fault === undefined, steps, fault });
  else for (const step of steps) print(printable(sentenceOf(step, layout.directory)));
  if (fault === undefined) return;
  const [sentence, hint] = sentencesOf(fault, layout.directory);
  const exit = USAGE_KINDS.includes(fault.kind) ? EXIT.usage : EXIT.failed;
  throw new CommandError(sentence, { hint, exit });
}

/** The gateway's own metrics; nothing without a key to read them with. */
async function viewOf({ api: { keyFile } }: Config, options: JsonOption): Promise<GatewayView> {
  if (!await exists(keyFile)) return () => Promise.resolve(undefined);
  return async () => {
    const { api } = openGateway(options);
    try {
      const { status, text } = await api.get("/metrics");
      const brokerCertificate = CERTIFICATE_INFO.exec(text)?.[1];
      // A key that is refused, or a gateway of an older version.
      if (status !== OK || brokerCertificate === undefined) return undefined;
      return { brokerCertificate, isConnected: CONNECTED.test(text) };
    } catch {
      return { brokerCertificate: "", isConnected: false }; // it is switching over
    } finally {
      api.close();
    }
  };
}

function sentenceOf(step: RenewStep, directory: string): string {
  switch (step.kind) {
    case "certificate_made": {
      const names = step.names.length === 0 ? "" : `, for ${step.names.join(", ")}`;
      return `certificate: serial ${step.serial}, until ${step.until.slice(0, 10)}${names}`;
    }
    case "files_replaced":
      return `files: ${step.certificate} and its key are in place`;
    case "copy_to_node":
      return `Now copy ${step.certificate} and ${step.key} to this gateway's machine; there: ` +
        "systemctl reload mosquitto secure-iot-gateway";
    case "previous_removed":
      return "files: the previous certificate and key are removed";
    case "previous_put_back":
      return "files: the previous certificate and key are in place again";
    case "broker_not_running":
      return "broker: not running; it takes the certificate when it starts: " +
        "systemctl start mosquitto";
    case "gateway_not_running":
      return "gateway: not running; it takes the certificate when it starts: " +
        `${programName()} run --dir ${directory}`;
    case "gateway_reloaded":
      return `gateway: process ${step.pid} was told to reload`;
    case "certificate_served":
      return `probe: ${WHOSE[step.by]} shows the new certificate at ${step.host}:${step.port}`;
    case "certificate_used":
      return "probe: the gateway is connected to the broker with the new certificate";
    case "gateway_not_connected":
      return "broker: not running, so the gateway may go on with the previous certificate; once the " +
        "broker runs: systemctl reload secure-iot-gateway";
    case "gateway_not_asked":
      return "gateway: without api.key it cannot be asked which certificate it uses; see its log: " +
        "journalctl -u secure-iot-gateway";
    case "broker_reloaded":
      return `broker: process ${step.pid} was told to reload`;
    default:
      return brokerSentence(step);
  }
}

/** What is wrong, and what to do. */
function sentencesOf(fault: RenewFault, directory: string): [sentence: string, hint: string] {
  switch (fault.kind) {
    case "authority_elsewhere":
      return [
        `Cannot issue a certificate here: there is no "${fault.path}"`,
        "Put it back from where you keep it; of a further gateway, type this on the machine where " +
        "its folder was made: secure-iot-gateway certificate renew … --dir SITE/nodes/NAME",
      ];
    case "authority_unusable":
      return [`Cannot issue a certificate: ${fault.reason}`, "Restore both files from a backup"];
    case "certificate_unusable":
      return [fault.reason, "Restore both files from a backup"];
    case "certificate_foreign":
      return [
        `"${fault.path}" was not issued by this site's authority`,
        "Renew it where it comes from, then: systemctl reload secure-iot-gateway",
      ];
    case "host_not_usable":
      return [`"${fault.host}" is not a DNS name or an IP address`, "Correct the name"];
    case "host_not_named":
      return [
        `The certificate does not name "${fault.host}"`,
        `${programName()} certificate list --dir ${directory} shows its names`,
      ];
    case "host_needed":
      return [
        `The certificate must name "${fault.host}": ${fault.setting} is that`,
        `Change ${fault.setting} in gateway.toml first, or keep the name with --add-host`,
      ];
    case "names_not_usable":
      return [
        "The gateway's certificate has no names of hosts: the broker knows it by its subject",
        "Leave --host, --add-host and --remove-host away, or renew broker or api",
      ];
    case "system_refused":
      return [fault.reason, "Run the same command as the owner of the site's files"];
    case "certificate_refused":
      return [
        `The broker refuses the new certificate: ${fault.reason}; nothing was changed`,
        `${programName()} doctor --dir ${directory} finds out why`,
      ];
    case "gateway_not_told":
      return [
        `Cannot tell the gateway, process ${fault.pid}: ${fault.reason}`,
        "The new certificate is in place. As root: systemctl reload secure-iot-gateway",
      ];
    case "certificate_not_served":
      return [
        `After the reload, ${WHOSE[fault.by]} does not show the new certificate: ${fault.reason}`,
        "See the logs: journalctl -u mosquitto -u secure-iot-gateway",
      ];
    case "broker_not_told":
      return [
        `Cannot tell the broker: ${fault.reason}`,
        "The new certificate is in place, and the broker takes it at its next start: " +
        "systemctl restart mosquitto",
      ];
    default:
      return faultSentence(fault);
  }
}
