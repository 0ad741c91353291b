/** Who may read and write the files of the site, and whether there is room for more. */

import { dirname, relative } from "node:path";
import { type Check, type CheckOutcome, fail, pass, passUnless, type Site, warn } from "./check.ts";
import { parseMosquittoConf } from "../site/mosquitto/conf_parser.ts";
import { privateFiles, publicFiles, type SiteFile, textIfThere } from "./site_files.ts";
import { programOutput } from "./program_output.ts";

/** The checks of this family. */
export const FILE_CHECKS: readonly Check<Site>[] = [
  { name: "file modes", look: modes },
  { name: "file owners", look: owners },
  { name: "disk space", look: diskSpace },
];

const OTHERS = 0o077;
const OTHERS_WRITE = 0o022;
const STICKY = 0o1000;

/** Permission bits of a class of users. */
const READ = 0o4;
const WRITE = 0o2;
const ENTER = 0o1;

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

/**
 * Files belong to the owner of the site, whom the gateway runs as; those that the broker reads may
 * be the broker's. What belongs to root is in order only if that user can use it all the same.
 */
async function owners(site: Site): Promise<CheckOutcome> {
  const { layout } = site;
  const files = [...await privateFiles(site), ...await publicFiles(site)];
  const { uid } = await Deno.stat(layout.configuration);
  const accounts = await textIfThere("/etc/passwd") ?? "";
  const owner = { uid: uid ?? 0, gids: await groupsOf(uid ?? 0, accounts) };
  const broker = await brokerUid(site, accounts);
  const brokers = [layout.broker.key, layout.aclDevices, layout.aclGateway, layout.brokerFolder];
  const faults = files.flatMap((file) => {
    const { path, info } = file;
    if (info.uid === owner.uid || (brokers.includes(path) && info.uid === broker)) return [];
    const belongs = `${shown(site, path)} belongs to user ${info.uid}`;
    if (info.uid !== 0) return [belongs];
    const need = mustBeWritten(site, file) ? READ | WRITE : READ;
    return may(owner, info, need) ? [] : [`${belongs}, and user ${owner.uid} cannot use it`];
  });
  return passUnless(faults, {
    observed: `user ${owner.uid} owns them, or can read them${
      broker === owner.uid ? "" : `; the broker's belong to ${broker}`
    }`,
    remedy: `chown ${owner.uid} FILE: that user owns gateway.toml`,
  });
}

/** A user, with all its groups. */
interface User {
  readonly uid: number;
  readonly gids: readonly number[];
}

/** What the permission bits say of a user who does not own the file. */
function may({ uid, gids }: User, info: Deno.FileInfo, need: number): boolean {
  if (uid === 0) return true;
  const bits = info.mode! >> (gids.includes(info.gid!) ? 3 : 0);
  const wanted = info.isDirectory ? need | ENTER : need;
  return (bits & wanted) === wanted;
}

/** The database and its folder; everything else is only read. */
function mustBeWritten({ layout, config }: Site, { path }: SiteFile): boolean {
  return path === layout.dataFolder || path.startsWith(config.store.database);
}

async function groupsOf(uid: number, accounts: string): Promise<number[]> {
  const fields = (text: string) => text.split("\n").map((line) => line.split(":"));
  const account = fields(accounts).find(([, , own]) => own === String(uid));
  if (account === undefined) return [];
  const [name = "", , , primary] = account;
  const further = fields(await textIfThere("/etc/group") ?? "")
    .filter(([, , , members = ""]) => members.split(",").includes(name)).map(([, , gid]) => gid);
  return [primary, ...further].map(Number);
}

/** The user that mosquitto.conf names. */
async function brokerUid({ layout }: Site, accounts: string): Promise<number | undefined> {
  const { main } = await parseMosquittoConf(layout.brokerConfiguration);
  const name = main.get("user")?.value;
  const account = accounts.split("\n").map((line) => line.split(":")).find(([own]) => own === name);
  return account && Number(account[2]);
}

/** Deno itself asks for a permission over the whole system before it says how full a disk is. */
async function diskSpace({ config }: Site): Promise<CheckOutcome> {
  const folder = dirname(config.store.database);
  const [, line = ""] = (await programOutput("df", ["-Pk", folder]) ?? "").split("\n");
  const free = Number(line.trim().split(/\s+/)[3]) * 1024;
  if (Number.isNaN(free)) throw new Error(`df does not report "${folder}"`);
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
