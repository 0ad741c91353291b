/** A command as the API's record tells of it. */

import { type Acknowledgement, type Command, COMMAND_STATES } from "../core/command_life.ts";
import { jsonMember } from "./json_member.ts";

/** What a record has; the API key that asked is not in it. */
export type CommandView =
  & Pick<
    Command,
    | "deviceId"
    | "messageId"
    | "state"
    | "delivery"
    | "createdSeconds"
    | "expiresSeconds"
    | "sends"
    | "lastSentSeconds"
    | "withdrawn"
  >
  & Partial<Pick<Command, "keyName">>
  & { readonly acknowledgement: Omit<Acknowledgement, "state"> | undefined };

/** Reads a record; throws if it is none. */
export function readCommandView(text: string): CommandView {
  const record = JSON.parse(text);
  const state = COMMAND_STATES.find((one) => one === record?.state);
  if (state === undefined) throw new Error("The gateway's answer is no record of a command");
  return {
    deviceId: String(record.device_id),
    messageId: String(record.message_id),
    state,
    delivery: record.delivery ?? undefined,
    createdSeconds: Number(record.created),
    expiresSeconds: Number(record.expires),
    sends: Number(record.sends),
    lastSentSeconds: record.last_sent ?? undefined,
    withdrawn: record.withdrawn === true,
    acknowledgement: acknowledgementOf(text, record),
  };
}

function acknowledgementOf(
  text: string,
  record: { acknowledgement?: { received: number; timestamp: number } | null },
): CommandView["acknowledgement"] {
  const { acknowledgement } = record;
  if (!acknowledgement) return undefined;
  const object = jsonMember(new TextEncoder().encode(text), "acknowledgement");
  const payload = object && jsonMember(object, "payload");
  return {
    receivedSeconds: Number(acknowledgement.received),
    timestamp: String(acknowledgement.timestamp),
    payload: payload ?? new Uint8Array(),
  };
}
