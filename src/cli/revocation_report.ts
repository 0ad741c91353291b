/** What `device revoke`, `restore`, `remove`, `rotate`, `rotate-authority` and `site upgrade` say of the broker. */

import { counted } from "../core/counted.ts";
import { rulesOf } from "../site/mosquitto/access_list.ts";
import type { RevocationStep } from "../site/operations/revocation.ts";
import type {
  BrokerFileFault,
  ListsRefusal,
  RevocationFault,
} from "../site/operations/revocation_fault.ts";
import { CommandError, print } from "./terminal.ts";

/** Fails with a fault, after printing what already holds; does nothing without a fault. */
export function failOn(fault: RevocationFault | undefined, consolation?: string): void {
  if (!fault) return;
  if (consolation !== undefined) print(consolation);
  const [sentence, hint] = faultSentence(fault);
  throw new CommandError(sentence, { hint });
}

const AGAIN = "Run the same command again";
const RESTORE = "Restore the file, then run the same command again";
const AS_OWNER = "Run the same command as the owner of the site's files";
const PUBLISH_AGAIN = "Where device-ca.key is: secure-iot-gateway lists publish";
const SEE_LOG = "See its log (journalctl -u mosquitto), then: systemctl restart mosquitto";

/** What is wrong, and what to do. */
export function faultSentence(fault: RevocationFault): [sentence: string, hint: string] {
  switch (fault.kind) {
    case "broker_not_running":
    case "broker_not_told":
      return [`Cannot tell the broker: ${fault.reason}`, fault.hint];
    case "site_locked":
      return [fault.reason, fault.hint];
    case "credential_unusable":
      return [fault.reason, RESTORE];
    case "broker_files_unreadable":
      return [`Cannot read the broker's files: ${fault.reason}`, RESTORE];
    case "broker_files_refused":
      return [`Cannot use the broker's files: ${fault.reason}`, AS_OWNER];
    case "lists_unusable":
      return [
        `Cannot give the broker its lists: ${fault.faults.map(fileSentence).join("; ")}`,
        "Fix that and run the same command again; nothing was changed at the broker",
      ];
    case "list_not_signed":
      return [
        `Cannot sign the revocation list: ${fault.reason}`,
        "Put device-ca.key back, then run the same command again",
      ];
    case "lists_not_written":
      return [`Cannot write the broker's lists: ${fault.reason}`, AS_OWNER];
    case "lists_overtaken":
    case "lists_refused":
    case "probe_missing":
    case "nodes_behind":
      return sharedFaultSentence(fault);
    case "list_ignored":
      return [
        "The broker does not use the new revocation list: a certificate on it is accepted",
        SEE_LOG,
      ];
    case "list_unconfirmed":
      return [
        `Cannot see whether the broker uses the new revocation list: ${fault.reason}`,
        SEE_LOG,
      ];
    case "probe_not_made":
      return [
        `Cannot test what the broker allows: ${fault.reason}`,
        "Put device-ca.key back, then run the same command again",
      ];
    case "receipt_not_received":
      return [
        "The broker does not use the new lines of the access lists: a device receives no receipt",
        SEE_LOG,
      ];
    case "access_unconfirmed":
      return [`Cannot test what the broker allows: ${fault.reason}`, AGAIN];
    case "broker_open":
      return [
        "The broker lets one device publish as another: " +
        (fault.stopped
          ? "it was stopped"
          : "stop it now (systemctl stop mosquitto), this command could not"),
        "Find out why in its log before you start it again: journalctl -u mosquitto",
      ];
    case "devices_cut_off":
      return ["The broker no longer lets devices receive on their own topics", SEE_LOG];
    case "device_not_denied":
      return [`The broker still lets ${fault.deviceId} ${fault.can}`, SEE_LOG];
    case "connection_not_ended":
      return [`Cannot end the connection of ${fault.deviceId}`, AGAIN];
    default:
      return fault satisfies never;
  }
}

/** What can only be wrong where gateways share a store. */
function sharedFaultSentence(
  fault: Extract<
    RevocationFault,
    { readonly kind: "lists_overtaken" | "lists_refused" | "probe_missing" | "nodes_behind" }
  >,
): [sentence: string, hint: string] {
  switch (fault.kind) {
    case "lists_overtaken":
      return ["Other machines put newer lists into the store again and again", AGAIN];
    case "lists_refused":
      return refusalSentence(fault.because);
    case "probe_missing":
      return [
        `Cannot test what the broker allows: there is no "${fault.path}"`,
        "Make the gateway's folder again (node add), and copy certs/probe.crt and probe.key from it",
      ];
    case "nodes_behind":
      return [
        `Not every broker uses list ${fault.listNumber} yet: ${fault.nodes.join(", ")}`,
        "See there: journalctl -u secure-iot-gateway-lists; secure-iot-gateway node list shows when " +
        "it follows",
      ];
    default:
      return fault satisfies never;
  }
}

function refusalSentence(because: ListsRefusal): [sentence: string, hint: string] {
  const [why, hint] = REFUSALS[because];
  return [`Refused the lists in the store: ${why}; nothing was changed`, hint];
}

/** Why, and what to do. */
const REFUSALS: Readonly<Record<ListsRefusal, readonly [why: string, hint: string]>> = {
  not_readable: ["they cannot be read", PUBLISH_AGAIN],
  not_signed: [
    "no authority in certs/device-ca.crt has signed them",
    `${PUBLISH_AGAIN}; if the authority was moved while this gateway was away, copy ` +
    "certs/device-ca.crt from there first",
  ],
  not_sound: ["they are signed, but not as this version makes them", PUBLISH_AGAIN],
  older: ["those in place are newer", PUBLISH_AGAIN],
};

function lagSentence(
  { listNumber, reason }: { readonly listNumber?: number; readonly reason?: string },
): string {
  const uses = listNumber === undefined ? "its broker uses no list" : `it uses list ${listNumber}`;
  return reason === undefined ? uses : `${uses}: ${reason}`;
}

function fileSentence(fault: BrokerFileFault): string {
  switch (fault.kind) {
    case "line_missing":
      return `"${fault.path}": there is no line "${fault.line}"`;
    case "list_unreadable":
      return `"${fault.path}": ${fault.reason}`;
    case "credential_unusable":
      return fault.reason;
    default:
      return fault satisfies never;
  }
}

/** One step at the broker as a sentence. */
export function brokerSentence(step: RevocationStep): string {
  switch (step.kind) {
    case "revocation_list_written": {
      const { listNumber, certificates, certificatesOfDevice, deviceId } = step;
      const share = deviceId === undefined
        ? ""
        : `, ${certificatesOfDevice} of them of ${deviceId}`;
      return `revocation list: number ${listNumber}, ${
        counted(certificates, "certificate")
      }${share}`;
    }
    case "access_list_written":
      return `access list: every topic is denied to ${
        counted(step.deniedDevices, "revoked device")
      }`;
    case "access_list_upgraded": {
      const count = rulesOf(step.added.flatMap(({ lines }) => lines).join("\n")).length;
      return `access list: ${counted(count, "rule")} added to ${step.path}`;
    }
    case "lists_published":
      return `other gateways: list ${step.listNumber} is in the store for their brokers`;
    case "lists_placed":
      return `lists: number ${step.listNumber} is in place; every topic is denied to ${
        counted(step.deniedDevices, "revoked device")
      }`;
    case "node_follows":
      return `gateway ${step.node}: its broker uses list ${step.listNumber}`;
    case "node_behind":
      return `gateway ${step.node}: ${lagSentence(step)}`;
    case "node_away":
      return `gateway ${step.node}: it is away, and follows when it is back; ${lagSentence(step)}`;
    case "broker_reloaded":
      return `broker: process ${step.pid} was told to reload the lists`;
    case "listed_certificate_refused":
      return `probe: a certificate on this list is refused: ${step.reason}`;
    case "access_verified":
      return "probe: a device that is not revoked receives on its own topic, and is refused another's " +
        "(reason 0x87)";
    case "receipt_received":
      return "probe: the gateway may send a receipt, and the device receives it: the broker uses " +
        "the new rules";
    case "device_denied":
      return `probe: connected as ${step.deviceId}, which ended its connection (MQTT 5 §3.1.4); ` +
        "it is refused its own topic (reason 0x87) and receives nothing";
    case "connection_ended":
      return step.canReconnect
        ? `broker: the connection of ${step.deviceId} was ended; it may connect again, but the ` +
          "gateway refuses its messages"
        : `broker: the connection of ${step.deviceId} was ended (MQTT 5 §3.1.4); ` +
          "its certificates are refused";
    default:
      return step satisfies never;
  }
}
