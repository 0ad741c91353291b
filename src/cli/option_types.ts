/** Options of more than one command, and what their values may be. */

import { type Command, InvalidArgumentError, Option } from "commander";
import { integer, port as portType, type SettingType } from "../config/setting_types.ts";
import { VALID_DAYS_MAX } from "./device_file.ts";

/** An option that may be given several times; `none` says what it is without. */
export function repeatable(flags: string, description: string, none: string): Option {
  const add = (one: string, all: string[]) => [...all, one];
  return new Option(flags, description).argParser(add).default([], none);
}

/** A port. */
export function port(text: string): number {
  return wholeNumber(text, portType());
}

/** The type of a key to make. */
export function keyType(description: string): Option {
  return new Option("--key-type <type>", description).choices(["ec", "rsa"]);
}

/** For how many days a certificate is valid. */
export function days(text: string): number {
  const { allowed, accepts } = integer(1, VALID_DAYS_MAX);
  return wholeNumber(text, { accepts, allowed: allowed.replace("number", "number of days") });
}

function wholeNumber(text: string, { allowed, accepts }: SettingType<number>): number {
  const number = Number(text);
  if (/^[0-9]{1,5}$/.test(text) && accepts(number)) return number;
  throw new InvalidArgumentError(`It ${allowed}`);
}

/** A command that works on a site. */
export function site(command: Command): Command {
  return command.option(
    "--dir <folder>",
    "the site folder (default: $SECURE_IOT_GATEWAY_DIR, else the current folder)",
  );
}
