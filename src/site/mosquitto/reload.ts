/**
 * Telling a running Mosquitto to read its lists again.
 *
 * The rules are:
 * - only the process whose number the broker wrote itself, and which really is a Mosquitto, is
 *   signalled: the number in an old file may belong to another process by now;
 * - Mosquitto 2.0 puts a session that sleeps on its list of sessions that will expire a second time
 *   when it is reloaded. When the session wakes up, one of the two points to freed memory, and the
 *   broker disconnects the wrong client. So while such a session sleeps, it is not reloaded.
 */

import { basename } from "node:path";
import { readOperatorFile } from "../../config/operator_file.ts";
import type { SiteLayout } from "../layout.ts";

/** Whether the broker was told, and if not, why, and what helps. */
type Told =
  | { readonly told: true; readonly pid: number }
  | { readonly told: false; readonly reason: string; readonly hint: string };

/** Mosquitto keeps all that waits for its clients in one file. */
const FILE_MAX_BYTES = 2 ** 30;

/** Mosquitto's own file: 15 bytes of magic, a checksum and a version, then chunks. */
const SESSIONS_HEADER_BYTES = 15 + 4 + 4;
const CHUNK_HEADER_BYTES = 8;
const CLIENT_CHUNK = 6;
/** session_expiry_time (8), session_expiry_interval (4), last_mid (2), id_len (2), port, name, gap. */
const CLIENT_ID_LENGTH_AT = 14;
const CLIENT_ID_AT = 24;

const RESTART_HINT =
  "Restart the broker (systemctl restart mosquitto), then run the same command again";

/** Has the broker read its lists again; resolves once it was signalled, not once it has read them. */
export async function reloadBroker(layout: SiteLayout): Promise<Told> {
  const pid = await brokerPid(layout);
  if (typeof pid !== "number") return { told: false, ...pid };
  const asleep = expiringSessions(readIfThere(layout.brokerSessions));
  if (asleep.length > 0) return { told: false, ...unsafe(asleep) };
  try {
    Deno.kill(pid, "SIGHUP");
  } catch (error) {
    const hint =
      `As root: kill -HUP ${pid}, or systemctl reload mosquitto; then run the same command again`;
    return { told: false, reason: `cannot signal process ${pid}: ${messageOf(error)}`, hint };
  }
  return { told: true, pid };
}

/** Stops the broker cleanly: no broker is better than one that allows everything. */
export async function stopBroker(layout: SiteLayout): Promise<boolean> {
  const pid = await brokerPid(layout);
  if (typeof pid !== "number") return false;
  try {
    Deno.kill(pid, "SIGTERM");
    return true;
  } catch {
    return false;
  }
}

/** The number of the broker's process, or why it is not known. */
export async function brokerPid(
  { brokerPid: path }: SiteLayout,
): Promise<number | { readonly reason: string; readonly hint: string }> {
  const text = new TextDecoder().decode(readIfThere(path)).trim();
  if (!/^[1-9][0-9]{0,9}$/.test(text)) {
    return {
      reason: `there is no process number in "${path}": the broker does not run, or runs elsewhere`,
      hint: "Start the broker (systemctl start mosquitto), then run the same command again",
    };
  }
  const program = basename((await commandLine(text))[0] ?? "");
  if (program === "mosquitto") return Number(text);
  return {
    reason: `process ${text}, named in "${path}", is not Mosquitto`,
    hint: RESTART_HINT,
  };
}

/** Client ids of the sessions that sleep and have a time to expire at, in Mosquitto's mosquitto.db. */
function expiringSessions(file: Uint8Array): string[] {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const found: string[] = [];
  for (let at = SESSIONS_HEADER_BYTES; at + CHUNK_HEADER_BYTES <= file.length;) {
    const [kind, length] = [view.getUint32(at), view.getUint32(at + 4)];
    const start = at + CHUNK_HEADER_BYTES;
    at = start + length;
    if (kind !== CLIENT_CHUNK || at > file.length || length < CLIENT_ID_AT) continue;
    if (view.getBigInt64(start) === 0n) continue; // connected, or never expires
    const idLength = view.getUint16(start + CLIENT_ID_LENGTH_AT);
    const id = file.subarray(start + CLIENT_ID_AT, start + CLIENT_ID_AT + idLength);
    found.push(new TextDecoder().decode(id));
  }
  return found;
}

function unsafe(asleep: readonly string[]): { reason: string; hint: string } {
  const [first] = asleep;
  const who = asleep.length > 1 ? `${first} and ${asleep.length - 1} more are` : `${first} is`;
  const reason = `a reload would corrupt Mosquitto's memory while ${who} ` +
    "offline with a session that expires";
  return { reason, hint: RESTART_HINT };
}

/** The arguments of a process; none if there is no such process. */
async function commandLine(pid: string): Promise<string[]> {
  // Deno itself may read /proc only with every permission there is.
  const { success, stdout } = await new Deno.Command("cat", {
    args: [`/proc/${pid}/cmdline`],
    stdin: "null",
    stderr: "null",
  }).output();
  return success ? new TextDecoder().decode(stdout).split("\0") : [];
}

function readIfThere(path: string): Uint8Array {
  try {
    return readOperatorFile(path, FILE_MAX_BYTES);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return new Uint8Array();
    throw error;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
