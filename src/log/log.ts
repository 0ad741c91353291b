/**
 * The log: a line on stderr per event, JSON or, for a person at a terminal, text.
 *
 * The rules are:
 * - a text line has the same in the same order: time, level, sentence, and the rest as `name=value`;
 * - every line has `time`, `level`, `event` and `message`; a rejection also `code` and `device_id`;
 * - a log that cannot be written stops nothing: its lines are dropped and counted;
 * - text from outside cannot start a new line or move a terminal's cursor: unprintable characters
 *   are escaped, in keys and in values;
 * - no secret, signature, key or payload is passed to the log; if one is by mistake, its value is
 *   replaced here, by the property's name.
 */

import { LineOutput } from "./line_output.ts";
import { configureSync, getLogger, type LogRecord } from "@logtape/logtape";

/** Levels, lowest first. */
export type LogLevel = "debug" | "info" | "warning" | "error";

/** What an event carries besides its message; snake_case names. */
export type LogProperties = Readonly<Record<string, string | number | boolean | undefined>>;

/** Writes one event. */
export type Log = (
  level: LogLevel,
  event: string,
  line: { readonly message: string } & LogProperties,
) => void;

/** How lines look; `colour` is text whose level is coloured. */
export type LogStyle = "json" | "text" | "colour";

/** SGR codes (ECMA-48 §8.3.117) of the levels. */
const COLOURS: Readonly<Record<string, number>> = { debug: 90, info: 32, warning: 33, error: 31 };

const CATEGORY = ["secure-iot-gateway"];
const UNSPEAKABLE = /secret|signature|payload|authorization|password|api_key|private/;

/** Opens the process's log; `write` takes a whole line with its newline. */
export function openLog(
  level: LogLevel,
  write: (line: string) => void,
  style: LogStyle = "json",
): Log {
  configureSync({
    reset: true,
    sinks: { lines: (record) => write(lineOf(record, style)) },
    loggers: [
      { category: CATEGORY, sinks: ["lines"], lowestLevel: level },
      { category: ["logtape", "meta"], sinks: ["lines"], lowestLevel: "error" },
    ],
  });
  const logger = getLogger(CATEGORY);
  return (level, event, { message, ...properties }) =>
    logger.emit({
      level,
      message: [message],
      rawMessage: message,
      timestamp: Date.now(),
      properties: { event, ...properties },
    });
}

const stderrLines = new LineOutput((bytes) => Deno.stderr.writeSync(bytes));

/** Writes to stderr at once, so that a crash loses no line; a full disk or a closed pipe does. */
export function writeToStderr(line: string): void {
  stderrLines.write(line);
}

/** How many lines stderr has not taken, once it takes them again. */
export function takeDroppedLines(): number {
  return stderrLines.takeDropped();
}

function lineOf(record: LogRecord, style: LogStyle): string {
  if (style !== "json") return textLineOf(record, style === "colour");
  const { event, ...properties } = record.properties;
  const time = new Date(record.timestamp).toISOString();
  const line = {
    time,
    level: record.level,
    event,
    message: record.message.join(""),
    ...properties,
  };
  return `${escapeUnprintable(JSON.stringify(line, strike))}\n`;
}

function textLineOf({ timestamp, level, message, properties }: LogRecord, colour: boolean): string {
  const time = new Date(timestamp).toISOString();
  const fields = Object.entries(properties)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${fieldText(strike(name, value))}`);
  const name = level.toUpperCase().padEnd(7);
  const shown = colour ? `\x1b[${COLOURS[level] ?? 0}m${name}\x1b[0m` : name;
  const text = escapeUnprintable([message.join(""), ...fields].join(" "));
  return `${time} ${shown} ${text}\n`;
}

/** In quotes if it could be read as more than one value. */
function fieldText(value: unknown): string {
  const text = String(value);
  return /^[^\s"=]+$/.test(text) ? text : JSON.stringify(text);
}

function strike(name: string, value: unknown): unknown {
  return UNSPEAKABLE.test(name) ? "[struck out]" : value;
}

/**
 * Escapes what JSON allows but a terminal acts on: control characters (C0, DEL, C1), line and
 * paragraph separators, and characters that change the writing direction.
 */
export function escapeUnprintable(text: string): string {
  return text.replace(
    // deno-lint-ignore no-control-regex
    /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
