/** How a command to a device is shown. */

import type { CommandView } from "../client/command_view.ts";
import type { CommandState } from "../core/command_life.ts";
import { isoOf, printField, textOf } from "./message_report.ts";
import { printJson } from "./json_output.ts";

/** What each state means, for the person at the terminal. */
const MEANINGS: { readonly [S in CommandState]: string } = {
  waiting: "it waits on the gateway's disk; the device has certainly not done it",
  sent: "a copy may be with the device, which has said nothing of it",
  received: "the device says that it has it",
  running: "the device says that it is doing it",
  done: "the device says that it has done it",
  failed: "the device says that it tried and failed",
  refused: "the device says that it will not do it",
  expired: "its time was over before a copy was sent; it will never be done",
  cancelled: "it was cancelled before a copy was sent; it will never be done",
  unconfirmed: "its time is over, and the device has not said whether it did it",
};

/** The sentence that a state stands for. */
export function meaningOf(state: CommandState): string {
  return MEANINGS[state];
}

/** A command as `--json` prints it. */
export function describeCommand(command: CommandView) {
  const { acknowledgement } = command;
  return {
    device_id: command.deviceId,
    message_id: command.messageId,
    state: command.state,
    delivery: command.delivery ?? null,
    key: command.keyName ?? null,
    created_at: timeOf(command.createdSeconds),
    expires_at: timeOf(command.expiresSeconds),
    sends: command.sends,
    last_sent_at: timeOf(command.lastSentSeconds),
    withdrawn: command.withdrawn,
    acknowledgement: acknowledgement === undefined ? null : {
      received_at: timeOf(acknowledgement.receivedSeconds),
      timestamp: Number(acknowledgement.timestamp),
      payload: textOf(acknowledgement.payload).text,
    },
  };
}

/** Prints a command with all that is known of it. */
export function sayCommand(command: CommandView, { json }: { readonly json?: true }): void {
  const described = describeCommand(command);
  if (json) return printJson(described);
  const { acknowledgement, state, key, ...rest } = described;
  printField("state", state);
  printField("means", meaningOf(state));
  for (const [name, value] of Object.entries(rest)) printField(name, String(value ?? "-"));
  if (key !== null) printField("key", key); // the API does not say it
  if (acknowledgement === null) return;
  printField("acknowledged_at", acknowledgement.received_at ?? "-");
  printField("acknowledged_timestamp", acknowledgement.timestamp);
  printField("acknowledgement", acknowledgement.payload ?? "-");
}

function timeOf(seconds: number | undefined): string | null {
  return seconds === undefined ? null : isoOf(1000 * seconds);
}
