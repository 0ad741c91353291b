/** Who may read and write the files of the site, and whether there is room for more. */

import { dirname, relative } from "node:path";
import { type Check, type CheckOutcome, fail, pass, passUnless, type Site, warn } from "./check.ts";
import { parseMosquittoConf } from "../site/mosquitto/conf_parser.ts";
import { privateFiles, publicFiles, type SiteFile, textIfThere } from "./site_files.ts";

/** The checks of this family. */
export const FILE_CHECKS: readonly Check<Site>[] = [
  { name: "file modes", look: modes },
  { name: "file owners", look: owners },
  { name: "disk space", look: diskSpace },
];

const OTHERS = 0o077;
const OTHERS_WRITE = 0o022;
const STICKY = 0o1000;

/** Room below which it warns, and fails. */
const LITTLE_BYTES = 1024 ** 3;
const TOO_LITTLE_BYTES = 64 * 1024 ** 2;

async function modes(site: Site): Promise<CheckOutcome> {
  const secret = await privateFiles(site);
  const decisive = await publicFiles(site);
  const open = secret.filter(({ info }) => (info.mode! & OTHERS) !== 0);
  // The broker's user may add to the broker's folder; the sticky bit keeps it from replacing.
  const writable = decisive.filter(({ info }) =>
    (info.mode! & OTHERS_WRITE) !== 0 && (info.mode! & (STICKY | 0o002)) !== STICKY
  );
  const described = (what: string) => ({ path, info }: SiteFile) =>
    `${shown(site, path)} has mode ${octal(info)}: others may ${what} it`;
  return passUnless(
    [...open.map(described("reach")), ...writable.map(described("write"))],
    {
      observed: `${secret.length} private files and folders are closed to other users`,
      remedy: "chmod go= private files, chmod go-w the others; replace keys that others could read",
    },
  );
}

/** Files belong to the owner of the site; those that the broker reads may be the broker's. */
async function owners(site: Site): Promise<CheckOutcome> {
  const files = [...await privateFiles(site), ...await publicFiles(site)];
  const { uid: owner } = await Deno.stat(site.layout.configuration);
  const broker = await brokerUid(site);
  const { layout } = site;
  const brokers = [layout.broker.key, layout.aclDevices, layout.aclGateway, layout.brokerFolder];
  const strange = files.filter(({ path, info }) =>
    info.uid !== owner && info.uid !== 0 && !(brokers.includes(path) && info.uid === broker)
  );
  return passUnless(
    strange.map(({ path, info }) => `${shown(site, path)} belongs to user ${info.uid}`),
    {
      observed: `all belong to user ${owner}${
        broker === owner ? "" : `, the broker's to ${broker}`
      }`,
      remedy: `chown ${owner} FILE: that user owns gateway.toml`,
    },
  );
}

/** The user that mosquitto.conf names. */
async function brokerUid({ layout }: Site): Promise<number | undefined> {
  const { main } = await parseMosquittoConf(layout.brokerConfiguration);
  const name = main.get("user")?.value;
  const passwd = await textIfThere("/etc/passwd") ?? "";
  const account = passwd.split("\n").map((line) => line.split(":")).find(([own]) => own === name);
  return account && Number(account[2]);
}

/** Deno itself asks for a permission over the whole system before it says how full a disk is. */
async function diskSpace({ config }: Site): Promise<CheckOutcome> {
  const folder = dirname(config.store.database);
  const { success, stdout } = await new Deno.Command("df", {
    args: ["-Pk", folder],
    stdin: "null",
    stderr: "null",
  }).output();
  const [, line = ""] = new TextDecoder().decode(stdout).split("\n");
  const free = Number(line.trim().split(/\s+/)[3]) * 1024;
  if (!success || Number.isNaN(free)) throw new Error(`df does not report "${folder}"`);
  const observed = `${Math.floor(free / 1024 ** 2)} MiB free for the database`;
  const remedy = "Free disk space: without it, the gateway takes no messages";
  if (free < TOO_LITTLE_BYTES) return fail(observed, remedy);
  return free < LITTLE_BYTES ? warn(observed, remedy) : pass(observed);
}

function shown({ layout }: Site, path: string): string {
  return relative(layout.directory, path) || path;
}

function octal({ mode }: Deno.FileInfo): string {
  return (mode! & 0o7777).toString(8).padStart(4, "0");
}
