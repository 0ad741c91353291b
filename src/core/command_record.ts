/** A command as its sender sees it: the JSON of the API and of a callback. */

import { joined } from "./bytes.ts";
import type { Acknowledgement, Command } from "./command_life.ts";

const TEXT = new TextEncoder();

/** The record, as JSON; the payload of the acknowledgement is in it byte for byte. */
export function commandRecord(command: Command): Uint8Array<ArrayBuffer> {
  const { acknowledgement } = command;
  const fields = JSON.stringify({
    device_id: command.deviceId,
    message_id: command.messageId,
    state: command.state,
    delivery: command.delivery ?? null,
    created: command.createdSeconds,
    expires: command.expiresSeconds,
    sends: command.sends,
    last_sent: command.lastSentSeconds ?? null,
    withdrawn: command.withdrawn,
  });
  const head = `${fields.slice(0, -1)},"acknowledgement":`;
  if (acknowledgement === undefined) return TEXT.encode(`${head}null}`);
  return withPayload(head, acknowledgement);
}

/** Several records as one JSON text; `next` is where the next page begins, null after the last. */
export function commandRecords(
  commands: readonly Command[],
  next: string | null,
): Uint8Array<ArrayBuffer> {
  const comma = TEXT.encode(",");
  const records = commands.flatMap((command, i) =>
    i === 0 ? [commandRecord(command)] : [comma, commandRecord(command)]
  );
  return joined([
    TEXT.encode('{"commands":['),
    ...records,
    TEXT.encode(`],"next":${JSON.stringify(next)}}`),
  ]);
}

function withPayload(head: string, { receivedSeconds, timestamp, payload }: Acknowledgement) {
  const fields = `{"received":${receivedSeconds},"timestamp":${timestamp},"payload":`;
  return joined([TEXT.encode(head + fields), payload, TEXT.encode("}}")]);
}
