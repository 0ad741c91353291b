/** `sign`: makes a signed message, for firmware authors to compare theirs with. */

import { DEVICE_ID_RULE, isDeviceId } from "../core/device.ts";
import { MESSAGE_MAX_BYTES, PAYLOAD_DEPTH_MAX, readEnvelope } from "../core/envelope.ts";
import { readJsonText } from "../core/json_text.ts";
import { importSecret, sign as signatureOf, SIGNATURE_BYTES } from "../core/signature.ts";
import { type SignedFields, signingInput } from "../core/signing_input.ts";
import { secondsOf } from "../core/time.ts";
import { readSecret } from "./secret_file.ts";
import { unknownDevice } from "./unknown_device.ts";
import { type JsonOption, printJson } from "./json_output.ts";
import { configOf, layoutOf, withSecrets } from "./open_site.ts";
import { CommandError, EXIT, print } from "./terminal.ts";

/** What `sign` may be told besides the device and the payload. */
interface SignOptions extends JsonOption {
  /** Its secret is used, and no site. */
  readonly secretFile?: string;
  /** Unix seconds, ten digits; now if not given. */
  readonly timestamp?: string;
  /** A UUID version 4; a random one if not given. */
  readonly messageId?: string;
}

/**
 * Prints the message in which a device would send `json`, in one line; with `--json` it is one of
 * the strings, so that its bytes stay what they are.
 */
export async function sign(deviceId: string, json: string, options: SignOptions): Promise<void> {
  const fields = {
    deviceId,
    timestamp: options.timestamp ?? String(secondsOf(Date.now())),
    messageId: options.messageId ?? crypto.randomUUID(),
  };
  const text = readJsonText(new TextEncoder().encode(json), PAYLOAD_DEPTH_MAX);
  const faults = faultsOf(fields);
  if (!text.ok) {
    faults.push(`Cannot sign the payload: ${text.fault.what}, at byte ${text.fault.at}`);
  }
  if (!text.ok || faults.length > 0) throw new CommandError(faults, { exit: EXIT.usage });
  const payload = new TextDecoder().decode(text.compact);
  refuseOversize(writeMessage(fields, { payload, signature: NO_SIGNATURE }));
  const key = await importSecret(await secretOf(deviceId, options));
  if (key === undefined) throw new CommandError(`Cannot sign for ${deviceId}: its secret is empty`);
  const input = signingInput(fields, text.compact);
  const signature = await signatureOf(key, input);
  const message = writeMessage(fields, { payload, signature });
  if (!options.json) return print(message);
  printJson({
    ...fields,
    timestamp: Number(fields.timestamp),
    message,
    signedText: new TextDecoder().decode(input),
    signature,
  });
}

const NO_SIGNATURE = "0".repeat(2 * SIGNATURE_BYTES);

/** Fields without a fault. */
const SOUND: SignedFields = {
  deviceId: "sensor_001",
  timestamp: "1727712000",
  messageId: "550e8400-e29b-41d4-a716-446655440000",
};

function faultsOf({ deviceId, timestamp, messageId }: SignedFields): string[] {
  const faults: string[] = [];
  if (!isDeviceId(deviceId)) {
    faults.push(`Cannot sign for a device "${deviceId}": an id has ${DEVICE_ID_RULE}`);
  }
  if (!isReadBack({ ...SOUND, timestamp })) {
    faults.push(
      `Cannot sign with the timestamp "${timestamp}": it must be ten digits of Unix seconds`,
    );
  }
  if (!isReadBack({ ...SOUND, messageId })) {
    faults.push(`Cannot sign with the message id "${messageId}": it must be a UUID version 4`);
  }
  return faults;
}

/** The gateway's own reader is asked, so that the rules for the fields are in one place. */
function isReadBack(fields: SignedFields): boolean {
  const message = writeMessage(fields, { payload: "null", signature: NO_SIGNATURE });
  const read = readEnvelope(new TextEncoder().encode(message));
  return read.kind === "envelope" && read.timestamp === fields.timestamp &&
    read.messageId === fields.messageId;
}

function refuseOversize(message: string): void {
  const { length } = new TextEncoder().encode(message);
  if (length <= MESSAGE_MAX_BYTES) return;
  throw new CommandError(
    `Cannot sign the payload: the message has ${length} bytes, at most ${MESSAGE_MAX_BYTES} allowed`,
    { exit: EXIT.usage },
  );
}

async function secretOf(deviceId: string, options: SignOptions): Promise<string> {
  if (options.secretFile !== undefined) return readSecret(options.secretFile);
  const config = configOf(layoutOf(options));
  return await withSecrets(config, async ({ registry }) => {
    const device = await registry.find(deviceId);
    if (!device) throw unknownDevice(deviceId);
    return device.sharedSecret;
  });
}

function writeMessage(
  { deviceId, timestamp, messageId }: SignedFields,
  { payload, signature }: { payload: string; signature: string },
): string {
  return `{"device_id":"${deviceId}","timestamp":${timestamp},"message_id":"${messageId}",` +
    `"payload":${payload},"signature":"${signature}"}`;
}
