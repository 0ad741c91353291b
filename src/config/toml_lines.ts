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
