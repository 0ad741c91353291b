/** `dead list`, `show`, `retry` and `drop`: what was accepted and could not be delivered. */

import { counted } from "../core/counted.ts";
import type {
  DeadLetter,
  DeadLetterStore,
  DeadLetterSummary,
  Extent,
  Selection,
} from "../store/dead_letters.ts";
import type { RegistryStore } from "../store/registry.ts";
import type { Store } from "../store/store.ts";
import { isoOf, payloadOf, printField, textOf } from "./message_report.ts";
import { unknownDevice } from "./unknown_device.ts";
import { configOf, layoutOf, type SiteOption, withStore } from "./open_site.ts";
import { type JsonOption, printJson, printJsonList } from "./json_output.ts";
import { CommandError, EXIT, lineChars, print, printable } from "./terminal.ts";

/** Which dead letters are meant, if no single one is named. */
interface SelectionOptions extends JsonOption {
  readonly device?: string;
  readonly all?: true;
}

/** What leaves room for the rest in a line of 80 characters. */
const DEVICE_MAX_CHARS = 24;

/** Least of a reason that is in the table. */
const REASON_MIN_CHARS = 12;

const SEE_LIST = "See secure-iot-gateway dead list";

/** Lists all dead letters, the oldest first; without their payloads. */
export async function listDeadLetters(options: JsonOption): Promise<void> {
  await withLetters(options, async ({ deadLetters }) => {
    if (options.json) await printJsonList(deadLetters.list(), describe);
    else await sayTable(deadLetters.list(), await deadLetters.extent());
  });
}

/** Shows one dead letter, with the payload that the backend refused. */
export async function showDeadLetter(id: string, options: JsonOption): Promise<void> {
  const sequence = sequenceOf(id);
  const letter = await withLetters(options, ({ deadLetters }) => deadLetters.find(sequence));
  if (!letter) throw unknownDeadLetter(sequence);
  const payload = payloadOf(letter.payload);
  if (options.json) return printJson({ ...describe(letter), ...answerOf(letter), ...payload });
  for (const [name, value] of Object.entries(describe(letter))) printField(name, value ?? "-");
  for (const [name, value] of Object.entries({ ...answerOf(letter), ...payload })) {
    if (value !== null) printField(name, value);
  }
}

/** Puts dead letters back into the outbox; a gateway that runs sends them in their turn. */
export async function retryDeadLetters(
  id: string | undefined,
  options: SelectionOptions,
): Promise<void> {
  const nowMs = Date.now();
  const retry = (letters: DeadLetterStore, selection: Selection) =>
    letters.requeue(selection, nowMs);
  const count = await take(selectionOf(id, options), retry, options);
  if (options.json) return printJson({ requeued: count });
  print(`Put ${counted(count, "dead letter")} back into the outbox`);
}

/** Drops dead letters permanently. */
export async function dropDeadLetters(
  id: string | undefined,
  options: SelectionOptions,
): Promise<void> {
  const drop = (letters: DeadLetterStore, selection: Selection) => letters.drop(selection);
  const count = await take(selectionOf(id, options), drop, options);
  if (options.json) return printJson({ dropped: count });
  print(`Dropped ${counted(count, "dead letter")}`);
}

/** Exactly one of the three ways to say which. */
function selectionOf(id: string | undefined, { device, all }: SelectionOptions): Selection {
  const given = [id, device, all].filter((one) => one !== undefined).length;
  if (given !== 1) {
    throw new CommandError(
      given === 0
        ? "No dead letter was named"
        : "Only one of SEQUENCE, --device and --all may be given",
      {
        exit: EXIT.usage,
        hint: "Give exactly one: a SEQUENCE from dead list, --device ID, or --all",
      },
    );
  }
  if (id !== undefined) return { sequence: sequenceOf(id) };
  return device === undefined ? "all" : { deviceId: device };
}

function sequenceOf(id: string): number {
  if (/^[1-9][0-9]{0,14}$/.test(id)) return Number(id);
  throw new CommandError(`There is no dead letter "${id}": its sequence number is a whole number`, {
    exit: EXIT.usage,
    hint: `${SEE_LIST}; for all of one device: --device ID`,
  });
}

/** Goes through a selection step by step; returns how many there were. */
async function take(
  selection: Selection,
  steps: (letters: DeadLetterStore, selection: Selection) => AsyncIterable<number>,
  options: SiteOption,
): Promise<number> {
  let count = 0;
  await withLetters(options, async ({ deadLetters, registry }) => {
    let beganMs = performance.now();
    for await (const taken of steps(deadLetters, selection)) {
      count += taken;
      await leaveTheStore(performance.now() - beganMs);
      beganMs = performance.now();
    }
    if (count === 0) await refuseUnknown(selection, registry);
  }).catch((error) => {
    throw count > 0 && error instanceof CommandError
      ? new CommandError([
        ...error.faults,
        `Stopped after ${counted(count, "dead letter")}: those are done`,
      ])
      : error;
  });
  return count;
}

/** Gives a running gateway the store for as long as we had it. */
async function leaveTheStore(durationMs: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, durationMs));
}

/** None at all is fine, also for a device; a name that does not exist is an error. */
async function refuseUnknown(selection: Selection, registry: RegistryStore): Promise<void> {
  if (selection === "all") return;
  if ("sequence" in selection) throw unknownDeadLetter(selection.sequence);
  if (!await registry.find(selection.deviceId)) throw unknownDevice(selection.deviceId);
}

function unknownDeadLetter(sequence: number): CommandError {
  return new CommandError(`There is no dead letter ${sequence}`, { hint: SEE_LIST });
}

async function withLetters<T>(
  options: SiteOption,
  work: (store: Store) => Promise<T>,
): Promise<T> {
  return await withStore(configOf(layoutOf(options)), work);
}

/** Within 80 columns, if device ids are short; `dead show` has the rest. */
async function sayTable(
  letters: AsyncIterable<DeadLetterSummary>,
  extent: Extent,
): Promise<void> {
  const sequenceWidth = Math.max("SEQUENCE".length, String(extent.lastSequence).length);
  const deviceWidth = Math.min(
    DEVICE_MAX_CHARS,
    Math.max("DEVICE".length, extent.deviceIdMaxChars),
  );
  const reasonWidth = Math.max(REASON_MIN_CHARS, lineChars() - sequenceWidth - deviceWidth - 34);
  const row = (sequence: string, device: string, rest: string) => {
    const head = `${sequence.padStart(sequenceWidth)}  ${printable(device).padEnd(deviceWidth)}`;
    if (device.length <= deviceWidth) return print(`${head}  ${rest}`);
    print(head); // a long id has a line of its own
    print(`${" ".repeat(sequenceWidth + 2 + deviceWidth)}  ${rest}`);
  };
  row("SEQUENCE", "DEVICE", `${"DEAD LETTER SINCE".padEnd(20)}  STATUS  REASON`);
  for await (const letter of letters) {
    const { sequence, deviceId, deadLetteredAtMs, status, commandState } = letter;
    const since = isoOf(deadLetteredAtMs)?.replace(/\.\d+Z$/, "Z") ?? "-";
    const code = String(status ?? "-").padEnd("STATUS".length);
    const kind = commandState === undefined ? "" : `callback ${commandState}: `;
    const why = shortened(kind + printable(letter.reason), reasonWidth);
    row(String(sequence), deviceId, `${since.padEnd(20)}  ${code}  ${why}`);
  }
}

function shortened(text: string, max: number): string {
  return text.length <= max ? text : `${text.slice(0, max - 1)}…`;
}

/** What the backend answered, as far as it is kept. */
function answerOf({ answer }: DeadLetter) {
  const body = answer?.body && textOf(answer.body);
  return {
    answer_content_type: answer?.contentType ?? null,
    answer_location: answer?.location ?? null,
    answer: body?.text ?? null,
    answer_base64: body?.base64 ?? null,
  };
}

function describe(letter: DeadLetterSummary) {
  return {
    sequence: letter.sequence,
    device_id: letter.deviceId,
    message_id: letter.messageId,
    timestamp: letter.timestamp,
    command_state: letter.commandState ?? null,
    queued_at: isoOf(letter.acceptedMs),
    dead_lettered_at: isoOf(letter.deadLetteredAtMs),
    status: letter.status ?? null,
    reason: letter.reason,
  };
}
