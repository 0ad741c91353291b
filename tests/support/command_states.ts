/** What became of commands, as it is on the disk of a live site. */

import type { Command, CommandState } from "../../src/core/command_life.ts";
import { CommandRows } from "../../src/store/sqlite/command_rows.ts";
import { poll } from "../../src/time/poll.ts";
import type { LiveSite } from "./live_site.ts";

/** Asks for a command; returns its message_id. */
export async function ask(
  site: LiveSite,
  deviceId: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<string> {
  const init = { method: "POST", body: '{"open":"door"}', headers };
  const response = await site.api(`/command/${deviceId}`, init);
  if (response.status !== 202) throw new Error(`${response.status}: ${await response.text()}`);
  return (await response.json()).message_id;
}

/** The command of a message_id. */
export function commandOf(site: LiveSite, messageId: string): Command {
  const found = site.withStore((store) => new CommandRows(store).findByMessage(messageId));
  if (found === undefined) throw new Error(`There is no command ${messageId}`);
  return found;
}

/** Waits until a command is in a state. */
export async function reaches(
  site: LiveSite,
  messageId: string,
  state: CommandState,
): Promise<Command> {
  return await poll(`command ${messageId} to be ${state}`, () => {
    const command = commandOf(site, messageId);
    return command.state === state ? command : undefined;
  });
}
