/** `outbox list`, `show` and `drop`: what was accepted and waits for the backend. */

import { COMMAND_STATES } from "../core/command_life.ts";
import { secondsOf } from "../core/time.ts";
import type { OutboxSummary } from "../store/outbox.ts";
import type { Store } from "../store/store.ts";
import { isoOf, payloadOf, printField } from "./message_report.ts";
import { configOf, layoutOf, type SiteOption, withStore } from "./open_site.ts";
import { type JsonOption, printJson, printJsonList } from "./json_output.ts";
import { CommandError, EXIT, print, printable } from "./terminal.ts";
import { unknownDevice } from "./unknown_device.ts";

/** The longest state of a command: of an entry that tells of it. */
const COMMAND_CHARS = Math.max(...COMMAND_STATES.map((state) => state.length));

const SEE_LIST = "See secure-iot-gateway outbox list";

/** Lists what waits, the oldest first; without payloads. */
export async function listOutbox(
  options: JsonOption & { readonly device?: string },
): Promise<void> {
  const { device } = options;
  await withStore(configOf(layoutOf(options)), async (store) => {
    if (device !== undefined && !await store.registry.find(device)) throw unknownDevice(device);
    const entries = store.outbox.list(device);
    if (options.json) await printJsonList(entries, describe);
    else await sayTable(entries, Date.now());
  });
}

/** Shows one entry with its payload. */
export async function showOutboxEntry(id: string, options: JsonOption): Promise<void> {
  const sequence = sequenceOf(id);
  const entry = await inOutbox(options, (outbox) => outbox.find(sequence));
  if (!entry) throw unknownEntry(sequence);
  const fields = { ...describe(entry), ...payloadOf(entry.payload) };
  if (options.json) return printJson(fields);
  for (const [name, value] of Object.entries(fields)) {
    if (value !== null) printField(name, value);
  }
}

/** Makes an entry a dead letter, so that the device's next one goes. */
export async function dropOutboxEntry(id: string, options: JsonOption): Promise<void> {
  const sequence = sequenceOf(id);
  const dropped = await inOutbox(options, (outbox) => outbox.drop(sequence, Date.now()));
  if (!dropped) throw unknownEntry(sequence);
  if (options.json) return printJson({ deadLetter: sequence });
  print(`Entry ${sequence} is now a dead letter: see secure-iot-gateway dead show ${sequence}`);
}

async function inOutbox<T>(
  options: SiteOption,
  work: (outbox: Store["outbox"]) => Promise<T>,
): Promise<T> {
  return await withStore(configOf(layoutOf(options)), (store) => work(store.outbox));
}

function sequenceOf(id: string): number {
  if (/^[1-9][0-9]{0,14}$/.test(id)) return Number(id);
  throw new CommandError(`There is no entry "${id}": a sequence number is a whole number`, {
    exit: EXIT.usage,
    hint: SEE_LIST,
  });
}

function unknownEntry(sequence: number): CommandError {
  return new CommandError(`There is no entry ${sequence} in the outbox`, {
    hint: `${SEE_LIST}; it may be delivered, or a dead letter: secure-iot-gateway dead list`,
  });
}

/** Within 80 columns, as long as device ids are short. */
async function sayTable(entries: AsyncIterable<OutboxSummary>, nowMs: number): Promise<void> {
  const row = (sequence: string, queued: string, age: string, rest: string) =>
    print(`${sequence.padStart(8)}  ${queued.padEnd(20)}  ${age.padStart(10)}  ${rest}`);
  const rest = (command: string, device: string) => `${command.padEnd(COMMAND_CHARS)}  ${device}`;
  row("SEQUENCE", "QUEUED", "AGE", rest("COMMAND", "DEVICE"));
  for await (const { sequence, acceptedMs, deviceId, commandState } of entries) {
    const queued = isoOf(acceptedMs)?.replace(/\.\d+Z$/, "Z") ?? "-";
    const age = `${Math.max(0, secondsOf(nowMs - acceptedMs))} s`;
    row(String(sequence), queued, age, rest(commandState ?? "-", printable(deviceId)));
  }
}

function describe(entry: OutboxSummary) {
  return {
    sequence: entry.sequence,
    device_id: entry.deviceId,
    message_id: entry.messageId,
    timestamp: entry.timestamp,
    command_state: entry.commandState ?? null,
    queued_at: isoOf(entry.acceptedMs),
  };
}
