/** Whether a command reaches a device, and its acknowledgement comes back. */

import { faultText } from "../core/fault_text.ts";
import { ApiClient } from "../client/api_client.ts";
import { readCommandView } from "../client/command_view.ts";
import { localOrigin } from "../config/listen_address.ts";
import { readOperatorText } from "../config/operator_file.ts";
import { poll } from "../time/poll.ts";
import { TRIAL_PAYLOAD } from "./backend_checks.ts";
import { type Check, type CheckOutcome, fail, pass, type Site, skip, warn } from "./check.ts";
import { LOG_REMEDY } from "./message_attacks.ts";
import type { TestSession } from "./test_session.ts";
import { refusedAck, UPGRADE_REMEDY } from "./topic_attacks.ts";

/** One command to the doctor's own device, which acknowledges it. */
export const COMMAND_CHECK: Check<TestSession> = { name: "command", look: command };

const KEY_REMEDY = "Put a key of this site into api.key: secure-iot-gateway key add NAME makes one";

async function command(session: TestSession): Promise<CheckOutcome> {
  const api = openApi(session.site);
  if (api === undefined) {
    return { ...skip("left out: api.key is not there, as a key in use need not be"), asked: true };
  }
  try {
    return await tryCommand(session, api);
  } finally {
    api.close();
  }
}

/** Undefined if the key was moved away. */
function openApi({ layout, config }: Site): ApiClient | undefined {
  const { host, port, keyFile } = config.api;
  const authority = readOperatorText(layout.gatewayCa.certificate);
  try {
    const key = readOperatorText(keyFile).trim();
    return new ApiClient({ url: localOrigin(host, port), key, authority });
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

async function tryCommand({ device }: TestSession, api: ApiClient): Promise<CheckOutcome> {
  const beganMs = performance.now();
  const tookMs = () => Math.ceil(performance.now() - beganMs);
  const { status, text } = await api.command(device.deviceId, TRIAL_PAYLOAD);
  if (status !== 202) {
    return fail(
      `the gateway answered ${status}: ${text}`,
      status === 401 ? KEY_REMEDY : LOG_REMEDY,
    );
  }
  const { message_id: messageId } = JSON.parse(text);
  const heard = await device.command().catch(faultText);
  if (typeof heard === "string") return fail(`it did not arrive: ${heard}`, LOG_REMEDY);
  if (!heard.valid || heard.messageId !== messageId) {
    return fail("it arrived, but not as the gateway signs it", LOG_REMEDY);
  }
  const arrivedMs = tookMs();
  const { reasonCode } = await device.acknowledge(messageId, { state: "done" });
  const refused = refusedAck(device.deviceId, reasonCode);
  if (refused !== undefined) return warn(`it arrived, but ${refused}`, UPGRADE_REMEDY);
  const name = { deviceId: device.deviceId, messageId };
  try {
    await poll("the word of the device", async () => {
      const record = await api.commandRecord(name);
      return record.status === 200 && readCommandView(record.text).state === "done";
    });
  } catch {
    return fail("it arrived, but its acknowledgement did not reach the gateway", UPGRADE_REMEDY);
  }
  return pass(
    `the device had it after ${arrivedMs} ms, and its word was back after ${tookMs()} ms`,
  );
}
