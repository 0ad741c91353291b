/** On which line of gateway.toml a setting is; the parser does not say. */

/** The line of a setting, from 1; undefined if it is not written in the usual way. */
export function lineOfSetting(toml: string, section: string, key?: string): number | undefined {
  let current = "";
  for (const [i, line] of toml.split("\n").entries()) {
    const header = sectionOn(line);
    if (header !== undefined) current = header;
    const name = header === undefined ? settingOn(line) : undefined;
    const isIt = key === undefined
      ? (header !== undefined ? current === section : current === "" && name === section)
      : (current === section && name === key) || (current === "" && name === `${section}.${key}`);
    if (isIt) return i + 1;
  }
  return undefined;
}

/** The section that a line begins; undefined if it begins none. */
export function sectionOn(line: string): string | undefined {
  return /^\s*\[{1,2}\s*"?([^\]"]+?)"?\s*\]/.exec(line)?.[1];
}

function settingOn(line: string): string | undefined {
  return /^\s*"?([^\s="]+)"?\s*=/.exec(line)?.[1];
}

/** What is wrong on a line, in the words of the file; `what` is what the parser says. */
export function tomlFault(toml: string, lineNumber: number, what: string): string {
  const line = toml.split("\n")[lineNumber - 1] ?? "";
  if (!what.includes("redefine")) return /=\s*[a-z]/i.test(line) ? "a text needs quotes" : what;
  const section = sectionOn(line);
  const first = section === undefined ? undefined : lineOfSetting(toml, section);
  if (first !== undefined && first < lineNumber) {
    return `[${section}] is on line ${first} already: write its settings there`;
  }
  const name = settingOn(line);
  return name === undefined ? what : `${name} is set already`;
}
