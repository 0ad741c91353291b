/**
 * What one node asks another to publish, as rows.
 *
 * Other programs may write there too: what is not as a gateway writes it is never published, and no
 * more of it is read than a gateway writes.
 */

import { isDeviceId } from "../../core/device.ts";
import { isJsonObject } from "../../core/json_object.ts";
import type { Mail, PublishProperties, TakenMail } from "../../core/ports.ts";
import { commandTopic, receiptTopic, responseTopic } from "../../core/topic.ts";
import type { Row } from "./driver.ts";
import { CONTENT_MAX_BYTES } from "./domains.ts";

/** Longest properties as JSON, in characters. */
const PROPERTIES_MAX_CHARS = 65_536;

/** Longest topic: that of a device has fewer characters. */
const TOPIC_MAX_CHARS = 100;

/** Nothing is asked for longer than that, days. */
const EXPIRES_MAX_DAYS = 366;

/** The columns of a row that is taken. */
export const MAIL_COLUMNS =
  `number, device_id, node, is_awaited, left(topic, ${TOPIC_MAX_CHARS}) AS topic,
  CASE WHEN octet_length(body) <= ${CONTENT_MAX_BYTES} THEN body END AS body,
  CASE WHEN length(properties::text) <= ${PROPERTIES_MAX_CHARS} THEN properties END AS properties,
  ceil(extract(epoch FROM least(expires_at, now() + interval '${EXPIRES_MAX_DAYS} days') - now()))::bigint
    AS left_seconds`;

/** Properties as they are stored. */
export function storedProperties({ correlationData, userProperties }: PublishProperties): string {
  return JSON.stringify({
    ...(correlationData && { correlationData: correlationData.toBase64() }),
    ...(userProperties && { userProperties }),
  });
}

/** The mail in a row. */
export function takenMailOf(row: Row): TakenMail {
  return { number: row["number"] as number, mail: mailOf(row) };
}

function mailOf(row: Row): Mail | undefined {
  const { node, device_id: deviceId, topic, body, is_awaited: isAwaited } = row;
  if (typeof deviceId !== "string" || !isDeviceId(deviceId) || body === null) return undefined;
  const topics = [commandTopic, receiptTopic, responseTopic].map((topicOf) => topicOf(deviceId));
  if (!topics.includes(topic as string)) return undefined;
  const properties = propertiesOf(row["properties"]);
  if (properties === undefined) return undefined;
  return {
    ...{ deviceId, topic: topic as string, node: node as string, body: body as Uint8Array },
    isAwaited: isAwaited === true,
    properties: { messageExpiryInterval: row["left_seconds"] as number, ...properties },
  };
}

/** Undefined if they are not as `storedProperties` writes them. */
function propertiesOf(stored: unknown): PublishProperties | undefined {
  if (!isJsonObject(stored)) return undefined;
  const { correlationData, userProperties } = stored;
  if (userProperties !== undefined && !isTexts(userProperties)) return undefined;
  const data = correlationData === undefined ? undefined : bytesOf(correlationData);
  if (correlationData !== undefined && data === undefined) return undefined;
  return { ...(data && { correlationData: data }), ...(userProperties && { userProperties }) };
}

function bytesOf(base64: unknown): Uint8Array | undefined {
  try {
    return typeof base64 === "string" ? Uint8Array.fromBase64(base64) : undefined;
  } catch {
    return undefined;
  }
}

function isTexts(value: unknown): value is Record<string, string> {
  return isJsonObject(value) && Object.values(value).every((one) => typeof one === "string");
}
