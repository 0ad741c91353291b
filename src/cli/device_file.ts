/**
 * A file of devices: CSV with a header (RFC 4180), or JSON Lines. Pure.
 *
 * The rules are:
 * - the fields are device_id, and if wanted secret, valid_days and csr; any other is a fault;
 * - an empty field of CSV is one that is not given;
 * - every fault is found, with its line.
 */

/** What one line says. */
export interface DeviceLine {
  /** Counted from 1. */
  readonly line: number;
  readonly deviceId: string;
  readonly secret?: string;
  readonly validDays?: number;
  /** Path of a certificate request. */
  readonly csr?: string;
}

/** The lines that can be read, and what is wrong with the others. */
interface DeviceLines {
  readonly lines: readonly DeviceLine[];
  readonly faults: readonly { readonly line: number; readonly fault: string }[];
}

const FIELDS = ["device_id", "secret", "valid_days", "csr"];
/** Twenty years: no authority lasts longer. */
export const VALID_DAYS_MAX = 7_300;

/** Reads the text of a file; what begins with "{" is JSON Lines. */
export function readDeviceLines(text: string): DeviceLines {
  const numbered = text.split(/\r?\n/).map((content, i) => ({ line: i + 1, content }))
    .filter(({ content }) => content.trim() !== "");
  const lines: DeviceLine[] = [];
  const faults: { line: number; fault: string }[] = [];
  const read = numbered[0]?.content.trimStart().startsWith("{")
    ? numbered.map(({ line, content }) => ({ line, fields: fieldsOfJson(content) }))
    : fieldsOfCsv(numbered);
  for (const { line, fields } of read) {
    const device = typeof fields === "string" ? fields : deviceOf(line, fields);
    if (typeof device === "string") faults.push({ line, fault: device });
    else lines.push(device);
  }
  return { lines, faults };
}

type Fields = Readonly<Record<string, unknown>>;

function deviceOf(line: number, fields: Fields): DeviceLine | string {
  const unknown = Object.keys(fields).find((name) => !FIELDS.includes(name));
  if (unknown !== undefined) {
    return `unknown field ${JSON.stringify(unknown)}, allowed: ${FIELDS.join(", ")}`;
  }
  const { device_id: deviceId, secret, valid_days: days, csr } = fields;
  if (typeof deviceId !== "string") return "device_id is missing, or not a string";
  if (secret !== undefined && typeof secret !== "string") return "secret is not a string";
  if (csr !== undefined && typeof csr !== "string") return "csr is not a string";
  const validDays = days === undefined ? undefined : Number(days);
  if (
    validDays !== undefined &&
    !(Number.isInteger(validDays) && validDays >= 1 && validDays <= VALID_DAYS_MAX)
  ) {
    return `valid_days is not a whole number from 1 to ${VALID_DAYS_MAX}`;
  }
  return {
    line,
    deviceId,
    ...(secret !== undefined && { secret }),
    ...(validDays !== undefined && { validDays }),
    ...(csr !== undefined && { csr }),
  };
}

function fieldsOfJson(content: string): Fields | string {
  try {
    const value: unknown = JSON.parse(content);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? value as Fields
      : "it is not a JSON object";
  } catch {
    return "it is not a JSON object";
  }
}

function fieldsOfCsv(
  numbered: readonly { line: number; content: string }[],
): { line: number; fields: Fields | string }[] {
  const [header, ...rows] = numbered;
  if (header === undefined) return [];
  const names = cellsOf(header.content.replace(/^\ufeff/, ""));
  if (typeof names === "string" || !names.includes("device_id")) {
    const fault = 'the header must name the fields, "device_id" among them';
    return [{ line: header.line, fields: fault }];
  }
  const doubled = names.find((name, i) => names.indexOf(name) !== i);
  if (doubled !== undefined) {
    return [{ line: header.line, fields: `the header names ${JSON.stringify(doubled)} twice` }];
  }
  return rows.map(({ line, content }) => ({ line, fields: fieldsOfRow(names, content) }));
}

function fieldsOfRow(names: readonly string[], content: string): Fields | string {
  const cells = cellsOf(content);
  if (typeof cells === "string") return cells;
  if (cells.length !== names.length) {
    return `there are ${cells.length} fields, and ${names.length} in the header`;
  }
  const given = names.map((name, i) => [name, cells[i]!]).filter(([, cell]) => cell !== "");
  return Object.fromEntries(given);
}

/** The cells of a row; a quoted one may hold commas and doubled quotes, and ends on its line. */
function cellsOf(content: string): string[] | string {
  const cells: string[] = [];
  const cell = /(?:"((?:[^"]|"")*)"|([^",]*))(,|$)/y;
  for (;;) {
    const match = cell.exec(content);
    if (!match) return "a quote is not closed, or is inside an unquoted field";
    const [, quoted, plain = "", end] = match;
    cells.push(quoted === undefined ? plain.trim() : quoted.replaceAll('""', '"'));
    if (end === "") return cells;
  }
}
