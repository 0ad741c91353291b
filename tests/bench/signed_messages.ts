/** Signed messages of about 250 bytes, as a sensor with a few channels sends them. */

import { importSecret, type SecretKey, sign } from "../../src/core/signature.ts";
import { signingInput } from "../../src/core/signing_input.ts";

/** A device that can sign. */
export interface Signer {
  readonly deviceId: string;
  readonly secret: string;
}

/** A message that is signed and not sent yet. */
export interface SignedMessage {
  readonly messageId: string;
  readonly text: string;
}

const UTF_8 = new TextEncoder();

/** Signs `count` messages of a device, now. */
export async function signMessages(device: Signer, count: number): Promise<SignedMessage[]> {
  const key = (await importSecret(device.secret))!;
  return await Promise.all(
    Array.from({ length: count }, (_, sequence) => signOne(device.deviceId, key, sequence)),
  );
}

async function signOne(deviceId: string, key: SecretKey, sequence: number): Promise<SignedMessage> {
  const payload = `{"sequence":${sequence},"temperature":22.5,"humidity":60.25}`;
  const timestamp = String(Math.floor(Date.now() / 1000));
  const messageId = crypto.randomUUID();
  const input = signingInput({ deviceId, timestamp, messageId }, UTF_8.encode(payload));
  const signature = await sign(key, input);
  const text = `{"device_id":"${deviceId}","timestamp":${timestamp},"message_id":"${messageId}",` +
    `"payload":${payload},"signature":"${signature}"}`;
  return { messageId, text };
}
