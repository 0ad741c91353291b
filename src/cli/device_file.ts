/**
 * A file of devices: CSV with a header, or JSON Lines. Pure.
 *
 * The rules are:
 * - the fields are device_id, and if wanted secret, valid_days and csr; any other is a fault, named
 *   once; capitals, blanks, "-" and "_" in a field's name make no difference;
 * - an empty field of CSV is one that is not given, and so is null in JSON;
 * - every fault is found, with its line; a line with a fault still takes its id and its secret.
 */

import { isJsonObject } from "../core/json_object.ts";
import { type NumberedLine, numberedLines, readCsv } from "./csv.ts";

/** What one line says; a field with a fault is left out. */
export interface DeviceLine {
  /** Counted from 1. */
  readonly line: number;
  readonly deviceId: string;
  readonly secret?: string;
  readonly validDays?: number;
  /** Path of a certificate request. */
  readonly csr?: string;
}

/** What is wrong with a line. */
export interface LineFault {
  readonly line: number;
  readonly fault: string;
}

/** The lines that name a device, and every fault. */
interface DeviceLines {
  readonly lines: readonly DeviceLine[];
  readonly faults: readonly LineFault[];
}

const FIELDS = ["device_id", "secret", "valid_days", "csr"];
/** Twenty years: no authority lasts longer. */
export const VALID_DAYS_MAX = 7_300;

/** The values of a line by their fields. */
type Fields = ReadonlyMap<string, unknown>;

interface FieldLines {
  readonly rows: readonly { readonly line: number; readonly fields: Fields }[];
  readonly faults: readonly LineFault[];
}

/** Reads the text of a file; what begins with a bracket is JSON Lines. */
export function readDeviceLines(text: string): DeviceLines {
  const numbered = numberedLines(text);
  const isJson = /^\s*[{[]/.test(numbered[0]?.content ?? "");
  const { rows, faults } = isJson ? readJsonLines(numbered) : readTable(numbered);
  const devices = rows.map(({ line, fields }) => ({ line, ...deviceOf(line, fields) }));
  return {
    lines: devices.flatMap(({ device }) => device ? [device] : []),
    faults: [
      ...faults,
      ...devices.flatMap(({ line, faults }) => faults.map((fault) => ({ line, fault }))),
    ],
  };
}

function deviceOf(line: number, fields: Fields): { device?: DeviceLine; faults: string[] } {
  const faults: string[] = [];
  const textOf = (name: string) => {
    const value = fields.get(name);
    if (value === undefined || typeof value === "string") return value;
    if (name !== "device_id") faults.push(`${name} is not a string`);
    return undefined;
  };
  const deviceId = textOf("device_id")?.trim();
  if (deviceId === undefined) faults.push("device_id is missing, or not a string");
  const secret = textOf("secret");
  const csr = textOf("csr")?.trim();
  const days = fields.get("valid_days");
  const validDays = daysOf(days);
  if (days !== undefined && validDays === undefined) {
    faults.push(`valid_days is not a whole number from 1 to ${VALID_DAYS_MAX}`);
  }
  if (deviceId === undefined) return { faults };
  const device = {
    line,
    deviceId,
    ...(secret !== undefined && { secret }),
    ...(validDays !== undefined && { validDays }),
    ...(csr !== undefined && { csr }),
  };
  return { device, faults };
}

/** A number, or its digits as text; undefined for anything else. */
function daysOf(value: unknown): number | undefined {
  const days = typeof value === "string" && /^\s*[0-9]+\s*$/.test(value) ? Number(value) : value;
  if (typeof days !== "number" || !Number.isInteger(days)) return undefined;
  return days >= 1 && days <= VALID_DAYS_MAX ? days : undefined;
}

/** The field that a name means, if any. */
function fieldOf(name: string): string | undefined {
  const plain = (text: string) => text.toLowerCase().replaceAll(/[\s_-]/g, "");
  return FIELDS.find((field) => plain(field) === plain(name));
}

function unknownField(name: string): string {
  return `unknown field ${JSON.stringify(name)}, allowed: ${FIELDS.join(", ")}`;
}

function readJsonLines(numbered: readonly NumberedLine[]): FieldLines {
  const first = numbered[0]!;
  if (/^\s*(\[|\{\s*$)/.test(first.content)) {
    const fault = "JSON Lines has one whole object on each line, and no list around them";
    return { rows: [], faults: [{ line: first.line, fault }] };
  }
  const rows: { line: number; fields: Fields }[] = [];
  const faults: LineFault[] = [];
  const unknown = new Set<string>();
  for (const { line, content } of numbered) {
    const value = objectOf(content);
    if (value === undefined) {
      faults.push({ line, fault: "it is not a JSON object" });
      continue;
    }
    const fields = new Map<string, unknown>();
    for (const [name, given] of Object.entries(value)) {
      const field = fieldOf(name);
      if (field === undefined && !unknown.has(name)) {
        faults.push({ line, fault: unknownField(name) });
        unknown.add(name);
      }
      if (field === undefined || given === null) continue;
      if (fields.has(field)) faults.push({ line, fault: `it has "${field}" twice` });
      fields.set(field, given);
    }
    rows.push({ line, fields });
  }
  return { rows, faults };
}

function objectOf(content: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(content);
    return isJsonObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function readTable(numbered: readonly NumberedLine[]): FieldLines {
  const table = readCsv(numbered);
  if (table === undefined) return { rows: [], faults: [] };
  const { line, cells: names } = table.header;
  const fields = typeof names === "string" ? [] : names.map(fieldOf);
  if (typeof names === "string" || !fields.includes("device_id")) {
    // Not quoted: without a header it is a device, perhaps with its secret.
    const fault = 'the header must name the fields, "device_id" among them';
    return { rows: [], faults: [{ line, fault }] };
  }
  const faults: LineFault[] = [...headerFaults(names, fields)].map((fault) => ({ line, fault }));
  const unnamed = new Set<number>();
  const rows = table.rows.flatMap(({ line, cells }) => {
    if (typeof cells === "string") {
      faults.push({ line, fault: cells });
      return [];
    }
    const given = [...cells.entries()].filter(([, cell]) => cell !== "");
    const stray = given.find(([i]) => names[i] === "" && !unnamed.has(i))?.[0];
    if (stray !== undefined) {
      unnamed.add(stray);
      faults.push({ line, fault: `field ${stray + 1} has no name in the header` });
    }
    const named = given.filter(([i]) => fields[i] !== undefined);
    return [{ line, fields: new Map(named.map(([i, cell]) => [fields[i]!, cell])) }];
  });
  return { rows, faults };
}

function* headerFaults(
  names: readonly string[],
  fields: readonly (string | undefined)[],
): Generator<string> {
  for (const [i, name] of names.entries()) {
    const field = fields[i];
    if (name.trim() !== "" && field === undefined) yield unknownField(name);
    if (field !== undefined && fields.indexOf(field) !== i) {
      yield `the header names ${JSON.stringify(field)} twice`;
    }
  }
}
