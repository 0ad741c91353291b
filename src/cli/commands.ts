/**
 * `commands list`, `show` and `cancel`: what became of commands, and the end of one.
 *
 * The rules are:
 * - `list` and `show` read the store beside a gateway, so that they also work when it is down, which
 *   is when one asks what waits;
 * - `cancel` finds the device in the store and asks the gateway, which alone knows whether a copy is
 *   on its way.
 */

import { readCommandView } from "../client/command_view.ts";
import type { Command, CommandState } from "../core/command_life.ts";
import type { Store } from "../store/store.ts";
import { describeCommand, meaningOf, sayCommand } from "./command_report.ts";
import { refusalOf, withGateway } from "./gateway_api.ts";
import { type JsonOption, printJsonList } from "./json_output.ts";
import { configOf, layoutOf, type SiteOption, withStore } from "./open_site.ts";
import { CommandError, EXIT, note, print, printable } from "./terminal.ts";
import { unknownDevice } from "./unknown_device.ts";

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const SEE_LIST = "See secure-iot-gateway commands list";
const STATE_WIDTH = "unconfirmed".length;
const AGE_WIDTH = 7;

/** What is left of a line of 80 characters. */
const DEVICE_MAX_CHARS = 20;

/** Lists commands in the order in which they were asked for. */
export async function listCommands(
  deviceId: string | undefined,
  options: JsonOption & { readonly state?: CommandState },
): Promise<void> {
  const { state } = options;
  await inStore(options, async ({ commands, registry }) => {
    if (deviceId !== undefined && !await registry.find(deviceId)) throw unknownDevice(deviceId);
    const found = commands.all({
      ...(deviceId !== undefined && { deviceId }),
      ...(state !== undefined && { state }),
    });
    if (options.json) await printJsonList(found, describeCommand);
    else await sayTable(found, Date.now());
  });
}

/** Shows one command with all that is known of it. */
export async function showCommand(messageId: string, options: JsonOption): Promise<void> {
  sayCommand(await findCommand(messageId, options), options);
}

/** Ends one command, as far as that can be done. */
export async function cancelCommand(messageId: string, options: JsonOption): Promise<void> {
  const { deviceId, messageId: id } = await findCommand(messageId, options);
  await withGateway(options, async (ask) => {
    const answer = await ask((api) => api.cancelCommand({ deviceId, messageId: id }));
    if (answer.status === 409) throw cannotCancel(await findCommand(id, options));
    if (answer.status !== 200 && answer.status !== 202) throw refusalOf(answer);
    if (options.json) return sayCommand(readCommandView(answer.text), options);
    if (answer.status === 200) return print("Cancelled: no copy was sent, and none will be");
    print("Withdrawn: no further copy will be sent, but the device may still do it");
    note(`hint: See later with secure-iot-gateway commands show ${id}`);
  });
}

function cannotCancel({ state }: Command): CommandError {
  return new CommandError(`Cannot cancel it: it is ${state}: ${meaningOf(state)}`);
}

/** The command of a message_id; fails if there is none. */
async function findCommand(messageId: string, options: SiteOption): Promise<Command> {
  if (!UUID.test(messageId)) {
    throw new CommandError(`There is no command "${messageId}": its message_id is a UUID`, {
      exit: EXIT.usage,
      hint: SEE_LIST,
    });
  }
  const command = await inStore(options, ({ commands }) => commands.findByMessage(messageId));
  if (command !== undefined) return command;
  throw new CommandError(`There is no command ${messageId}`, {
    hint: `${SEE_LIST}; one that has ended is kept for commands.keep`,
  });
}

async function inStore<T>(options: SiteOption, work: (store: Store) => Promise<T>): Promise<T> {
  return await withStore(configOf(layoutOf(options)), work);
}

/** Within 80 columns: a long id has a line of its own. */
async function sayTable(commands: AsyncIterable<Command>, nowMs: number): Promise<void> {
  row("MESSAGE ID", "STATE", "AGE", "DEVICE");
  for await (const { messageId, state, createdSeconds, deviceId } of commands) {
    const id = printable(deviceId);
    const isLong = id.length > DEVICE_MAX_CHARS;
    row(messageId, state, ageOf(nowMs / 1000 - createdSeconds), isLong ? "" : id);
    if (isLong) print(`  ${id}`);
  }
}

function row(messageId: string, state: string, age: string, device: string): void {
  const head = `${messageId.padEnd(36)}  ${state.padEnd(STATE_WIDTH)}  ${age.padStart(AGE_WIDTH)}`;
  print(`${head}  ${device}`.trimEnd());
}

/** Such as "12 s" or "3 h"; in the largest unit of which there are two. */
function ageOf(seconds: number): string {
  const units = [["d", 86_400], ["h", 3_600], ["min", 60]] as const;
  const [unit, size] = units.find(([, size]) => seconds >= 2 * size) ?? ["s", 1];
  return `${Math.max(0, Math.floor(seconds / size))} ${unit}`;
}
