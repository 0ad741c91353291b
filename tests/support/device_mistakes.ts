/** What firmware authors do wrong, each as the message that comes of it. */

import type { DeviceClient } from "../../src/client/device_client.ts";
import { secondsOf } from "../../src/core/time.ts";

const PAYLOAD = '{"temperature":22.5}';
const HOUR = 3_600;
/** From 1970. */
const SECONDS_TO_2000 = 946_684_800;

/** The parts of a message; the usual ones are right. */
interface Fields {
  readonly deviceId: string;
  readonly timestamp: string;
  readonly messageId: string;
  readonly payload: string;
  /** What is signed. */
  readonly signed: string;
}

/** What comes of a mistake. */
interface Made {
  /** What is published, one after the other; the last one is refused. */
  readonly messages: readonly (string | Uint8Array)[];
  /** What its firmware believes to be the secret, if that is something else. */
  readonly key?: string | Uint8Array;
}

/** Makes a mistake. */
type Mistake = (device: DeviceClient, secret: string) => Promise<Made>;

/** A right message but for some of its parts; the signature covers what is sent. */
function bent(change: (fields: Fields) => Partial<Fields>): Mistake {
  return async (device, secret) => ({ messages: [await write(change, device, secret)] });
}

/** A right message but for what is signed. */
function signed(change: (fields: Fields) => string): Mistake {
  return bent((fields) => ({ signed: change(fields) }));
}

/** A right message but for the key. */
function keyed(keyOf: (secret: string) => string | Uint8Array): Mistake {
  return async (device, secret) => {
    const key = keyOf(secret);
    return { messages: [await write(() => ({}), device, key)], key };
  };
}

/** A right message whose text is changed afterwards. */
function changed(change: (text: string) => string | Uint8Array): Mistake {
  return async (device) => ({ messages: [change((await device.sign(PAYLOAD)).message)] });
}

/** By the words with which the page names them. */
export const DEVICE_MISTAKES: Readonly<Record<string, Mistake>> = {
  "the clock says 1970": bent(() => ({ timestamp: "42" })),
  "milliseconds": bent(() => ({ timestamp: `${Date.now()}` })),
  "seconds since 2000": bent(() => ({ timestamp: `${nowSeconds() - SECONDS_TO_2000}` })),
  "a timestamp in quotes": bent(({ timestamp }) => ({ timestamp: `"${timestamp}"` })),
  "a timestamp with a fraction": bent(({ timestamp }) => ({ timestamp: `${timestamp}.5` })),
  "local time, or a clock that is off": bent(() => ({ timestamp: `${nowSeconds() + HOUR}` })),
  "a line's end behind the secret": keyed((secret) => `${secret}\n`),
  "the secret decoded from hex or base64": keyed((secret) =>
    Uint8Array.from(
      secret.match(/[0-9a-f]{2}/g) ?? [],
      (pair) => parseInt(pair, 16),
    )
  ),
  "another device's secret": keyed(() => "another"),
  "separators between the fields": signed((fields) =>
    [fields.deviceId, fields.timestamp, fields.messageId, fields.payload].join(":")
  ),
  "the fields in another order": signed((fields) =>
    fields.timestamp + fields.deviceId + fields.messageId + fields.payload
  ),
  "signed before the last change": signed((fields) => usual(fields).replace("22.5", "22.50")),
  "an acknowledgement's prefix": signed((fields) => `ack:${usual(fields)}`),
  "a signature in base64": changed((text) =>
    text.replace(
      /"signature":"(.*)"/,
      (_, hex) => `"signature":"${Uint8Array.fromHex(hex).toBase64()}"`,
    )
  ),
  "a counter as message_id": bent(() => ({ messageId: "17" })),
  "a UUID of another version": bent(() => ({ messageId: "c232ab00-9414-11ec-b3c8-9f6bdeced846" })),
  "the same message_id for the next reading": async (device) => {
    const first = await device.sign(PAYLOAD);
    const { messageId } = first;
    const second = await device.sign('{"temperature":23}', { messageId });
    return { messages: [first.message, second.message] };
  },
  "another device_id than the certificate's": bent(() => ({ deviceId: "sensor_999" })),
  "a field too many": changed((text) => text.replace("}", '},"unit":"C"')),
  "a field forgotten": changed((text) => text.replace(/"message_id":"[^"]*",/, "")),
  "a buffer that was too small": changed((text) => text.slice(0, 128)),
  "the NUL behind the text sent along": changed((text) => `${text}\0`),
  "the payload alone": changed(() => PAYLOAD),
  "NaN, which C prints as nan": bent(() => ({ payload: '{"temperature":nan}' })),
  "a decimal comma": bent(() => ({ payload: '{"temperature":22,5}' })),
  "single quotes": changed((text) => text.replaceAll('"', "'")),
  "Latin-1": changed((text) =>
    Uint8Array.from(text.replace("22.5", '"22 °C"'), (one) => one.charCodeAt(0))
  ),
  "more than 65,536 bytes": bent(() => ({ payload: `"${"x".repeat(65_537 - 193)}"` })),
  "faster than the device's rate": async (device) => ({
    messages: [(await device.sign(PAYLOAD)).message, (await device.sign(PAYLOAD)).message],
  }),
};

function usual(fields: Fields): string {
  return fields.deviceId + fields.timestamp + fields.messageId + fields.payload;
}

async function write(
  change: (fields: Fields) => Partial<Fields>,
  { deviceId }: DeviceClient,
  secret: string | Uint8Array,
): Promise<string> {
  const right = {
    ...{ deviceId, timestamp: `${nowSeconds()}`, messageId: crypto.randomUUID() },
    ...{ payload: PAYLOAD, signed: "" },
  };
  const changes = change(right);
  const fields = { ...right, ...changes };
  const text = changes.signed ??
    usual({ ...fields, timestamp: fields.timestamp.replaceAll('"', "") });
  return `{"device_id":"${fields.deviceId}","timestamp":${fields.timestamp},` +
    `"message_id":"${fields.messageId}","payload":${fields.payload},` +
    `"signature":"${await hmacHex(secret, text)}"}`;
}

/** The hex digits of HMAC-SHA256. */
export async function hmacHex(secret: string | Uint8Array, text: string): Promise<string> {
  const utf8 = new TextEncoder();
  const bytes = typeof secret === "string" ? utf8.encode(secret) : Uint8Array.from(secret);
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", bytes, algorithm, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", key, utf8.encode(text))).toHex();
}

function nowSeconds(): number {
  return secondsOf(Date.now());
}
