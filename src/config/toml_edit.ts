/** Changing a setting in gateway.toml's text; comments and everything else stay as they are. */

import { sectionOn } from "./toml_lines.ts";

/** The text with a setting's value: in its line, in place of the comment with its default, or new. */
export function withSetting(
  toml: string,
  { section, key, value }: {
    readonly section: string;
    readonly key: string;
    readonly value: string | number | boolean;
  },
): string {
  const lines = toml.split("\n");
  const text = `${key} = ${JSON.stringify(value)}`;
  const head = lines.findIndex((line) => sectionOn(line) === section);
  if (head === -1) return `${toml.replace(/\n*$/, "\n")}\n[${section}]\n${text}\n`;
  const next = lines.findIndex((line, i) => i > head && sectionOn(line) !== undefined);
  const end = next === -1 ? lines.length : next;
  const isLine = (line: string, i: number, pattern: RegExp) =>
    i > head && i < end && pattern.test(line);
  const place = [new RegExp(`^\\s*"?${key}"?\\s*=`), new RegExp(`^\\s*#\\s*${key}\\s*=`)]
    .map((pattern) => lines.findIndex((line, i) => isLine(line, i, pattern)))
    .find((found) => found !== -1);
  if (place === undefined) lines.splice(head + 1, 0, text);
  else lines[place] = text;
  return lines.join("\n");
}
