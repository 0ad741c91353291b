/** Settings as gateway.toml and the environment have them, each checked for itself. */

import { parse, TomlError } from "smol-toml";
import { isJsonObject } from "../core/json_object.ts";
import { isOfContainerPlatform } from "./environment.ts";
import {
  environmentName,
  listSettings,
  type Setting,
  SETTINGS,
  type Settings,
} from "./settings.ts";
import { closestName } from "./spelling.ts";
import { lineOfSetting, tomlFault } from "./toml_lines.ts";

/** The environment variable that names the site folder; it is not a setting. */
export const SITE_DIRECTORY_VARIABLE = "SECURE_IOT_GATEWAY_DIR";

/** The environment variable that names this program's own file, if it is a packed one. */
export const PROGRAM_VARIABLE = "SECURE_IOT_GATEWAY_PROGRAM";
const PREFIX = "SECURE_IOT_GATEWAY_";

/** So much of a wrong value is shown. */
const SHOWN_MAX_CHARS = 60;

/** With the prefix, and no settings: the site, and what a packed program's launcher reads. */
const NO_SETTINGS = [
  SITE_DIRECTORY_VARIABLE,
  PROGRAM_VARIABLE,
  "SECURE_IOT_GATEWAY_CACHE",
  "SECURE_IOT_GATEWAY_EMULATOR",
];

/** What was read. */
interface SettingsRead {
  /** Whole if there are no faults. */
  readonly settings: Settings;
  /** Of gateway.toml, or of a value that the environment gives. */
  readonly faults: readonly string[];
  /** Of the environment's names. */
  readonly foreign: readonly string[];
  /** Environment variables that look like settings but come from a container platform. */
  readonly ignored: readonly string[];
}

/** Reads gateway.toml's text with the environment's overrides. */
export function readSettings(
  toml: string,
  environment: Readonly<Record<string, string>>,
): SettingsRead {
  let table: Record<string, unknown>;
  try {
    table = parse(toml);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const what = error.message.split("\n")[0]!.replace("Invalid TOML document: ", "");
    const fault = `gateway.toml: line ${error.line}: ${tomlFault(toml, error.line, what)}`;
    return { settings: {} as Settings, faults: [fault], foreign: [], ignored: [] };
  }
  const { places, faults: foreign, ignored } = override(table, environment);
  return { ...check(table, { toml, places }), foreign, ignored };
}

/** Writes the environment's values into the table; says where each setting came from. */
function override(table: Record<string, unknown>, environment: Readonly<Record<string, string>>) {
  const places = new Map<string, string>();
  const faults: string[] = [];
  const ignored: string[] = [];
  const known = new Map(listSettings().map((s) => [environmentName(s.section, s.key), s]));
  for (const [name, value] of Object.entries(environment)) {
    if (!name.startsWith(PREFIX) || NO_SETTINGS.includes(name)) continue;
    if (isOfContainerPlatform(name, value)) {
      ignored.push(name);
      continue;
    }
    const setting = known.get(name);
    if (!setting) {
      faults.push(`environment: ${name}: unknown setting${didYouMean(name, [...known.keys()])}`);
      continue;
    }
    const section = table[setting.section] ??= {};
    if (!isTable(section)) continue; // named as a fault of gateway.toml
    section[setting.key] = valueOf(value, setting.defaultValue);
    places.set(`${setting.section}.${setting.key}`, name);
  }
  return { places, faults, ignored };
}

function didYouMean(name: string, known: readonly string[]): string {
  const closest = closestName(name, known);
  return closest === undefined ? "" : `, did you mean ${closest}?`;
}

/** An environment variable's text, converted to the type of its setting. */
function valueOf(text: string, standard: string | number | boolean | undefined): unknown {
  if (typeof standard === "number" && /^-?[0-9]+(\.[0-9]+)?$/.test(text)) return Number(text);
  if (typeof standard === "boolean" && /^(true|false)$/.test(text)) return text === "true";
  return text;
}

/** Where settings were read, for those that are faults. */
interface Origin {
  readonly toml: string;
  /** Environment variables, by the setting that they override. */
  readonly places: ReadonlyMap<string, string>;
}

/**
 * The settings in the table, with defaults filled in, and a line for each unknown name or invalid
 * value. `places`: the settings that came from the environment.
 */
function check(table: Record<string, unknown>, { toml, places }: Origin) {
  const settings: Record<string, Record<string, unknown>> = {};
  const faults = unknownIn(table, SETTINGS, { toml });
  for (const [section, known] of Object.entries<Record<string, Setting>>(SETTINGS)) {
    const given = table[section] ?? {};
    if (!isTable(given)) {
      faults.push(`${inToml(toml, section)}: must be a section, [${section}]`);
      continue;
    }
    faults.push(...unknownIn(given, known, { toml, section }));
    const values: Record<string, unknown> = settings[section] = {};
    for (const [key, { defaultValue, accepts, allowed }] of Object.entries(known)) {
      values[key] = given[key] ?? defaultValue;
      if (accepts(values[key])) continue;
      const variable = places.get(`${section}.${key}`);
      const origin = variable ? `environment: ${variable}` : inToml(toml, section, key);
      faults.push(`${origin}: ${allowed}${found(key, values[key])}`);
    }
  }
  return { settings: settings as unknown as Settings, faults };
}

/** A line for each name in a table that is not known there. */
function unknownIn(
  table: Record<string, unknown>,
  known: object,
  { toml, section }: { readonly toml: string; readonly section?: string },
): string[] {
  const names = Object.keys(known);
  return Object.keys(table).filter((name) => !Object.hasOwn(known, name)).map((name) => {
    const place = section === undefined ? inToml(toml, name) : inToml(toml, section, name);
    const elsewhere = listSettings().find(({ key }) => key === name);
    const suggestion = elsewhere
      ? `, did you mean ${elsewhere.section}.${name}?`
      : didYouMean(name, names);
    return `${place}: unknown setting${suggestion || `, allowed here: ${names.join(", ")}`}`;
  });
}

/** A setting's place, with its line if that is found. */
function inToml(toml: string, section: string, key?: string): string {
  const line = lineOfSetting(toml, section, key);
  const name = key === undefined ? section : `${section}.${key}`;
  return `gateway.toml: ${line === undefined ? "" : `line ${line}: `}${name}`;
}

/** The wrong value, but not a URL, which may have a password in it. */
function found(key: string, value: unknown): string {
  if (value === undefined || ["url", "path", "callback"].includes(key)) return "";
  return `, not ${(JSON.stringify(value) ?? String(value)).slice(0, SHOWN_MAX_CHARS)}`;
}

function isTable(value: unknown): value is Record<string, unknown> {
  return isJsonObject(value) && !(value instanceof Date);
}
