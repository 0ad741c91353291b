/** What `device revoke`, `restore`, `remove`, `rotate`, `rotate-authority` and `site upgrade` say of the broker. */

import { counted } from "../core/counted.ts";
import { rulesOf } from "../site/mosquitto/access_list.ts";
import type { RevocationFault, RevocationStep } from "../site/operations/revocation.ts";
import { CommandError, print } from "./terminal.ts";

/** Fails with a fault, after printing what already holds; does nothing without a fault. */
export function failOn(fault: RevocationFault | undefined, consolation?: string): void {
  if (!fault) return;
  if (consolation !== undefined) print(consolation);
  throw new CommandError(fault.reason, { hint: fault.hint });
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
