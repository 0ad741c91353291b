/** On which line of gateway.toml a setting is; the parser does not say. */

/** The line of a setting, from 1; undefined if it is not written in the usual way. */
export function lineOfSetting(toml: string, section: string, key?: string): number | undefined {
  let current = "";
  for (const [i, line] of toml.split("\n").entries()) {
    const header = /^\s*\[{1,2}\s*"?([^\]"]+?)"?\s*\]/.exec(line);
    if (header) current = header[1]!;
    const name = header ? undefined : /^\s*"?([^\s="]+)"?\s*=/.exec(line)?.[1];
    const isIt = key === undefined
      ? (header ? current === section : current === "" && name === section)
      : (current === section && name === key) || (current === "" && name === `${section}.${key}`);
    if (isIt) return i + 1;
  }
  return undefined;
}

/** What is wrong on a line, in the words of the file; `what` is what the parser says. */
export function tomlFault(toml: string, lineNumber: number, what: string): string {
  const line = toml.split("\n")[lineNumber - 1] ?? "";
  if (!what.includes("redefine")) return /=\s*[a-z]/i.test(line) ? "a text needs quotes" : what;
  const section = /^\s*\[\s*"?([^\]"]+?)"?\s*\]/.exec(line)?.[1];
  const first = section === undefined ? undefined : lineOfSetting(toml, section);
  if (first !== undefined && first < lineNumber) {
    return `[${section}] is on line ${first} already: write its settings there`;
  }
  const name = /^\s*"?([^\s="]+)"?\s*=/.exec(line)?.[1];
  return name === undefined ? what : `${name} is set already`;
}
