/** A command for a device that is away: asked once, kept over a kill, done once, and acknowledged. */

import type { ApiAnswer, ApiClient } from "../client/api_client.ts";
import { type CommandView, readCommandView } from "../client/command_view.ts";
import { isFinal } from "../core/command_life.ts";
import { poll } from "../time/poll.ts";
import type { Narrator } from "./narrator.ts";
import type { Sandbox } from "./sandbox/sandbox.ts";

const DEVICE_ID = "sensor_002";
const COMMAND = '{"action":"unlock"}';
const REQUEST = { ttlSeconds: 3_600, idempotencyKey: "order-17" };
/** How long one request of the long poll may be held, and all of them. */
const HELD_SECONDS = 5;
const WORD_TIMEOUT_MS = 20_000;

/** Tells of it; the devices are connected before and after. */
export async function awayDeviceObeys(sandbox: Sandbox, narrator: Narrator): Promise<void> {
  narrator.scene("A command for a device that is away, and the gateway is killed again");
  await sandbox.disconnect(DEVICE_ID);
  narrator.tell(`${DEVICE_ID} is switched off. The backend asks: POST /command/${DEVICE_ID}`);
  narrator.quote(`TTL: 3600\nIdempotency-Key: "order-17"\n${COMMAND}`);
  const asked = await sandbox.client.command(DEVICE_ID, COMMAND, REQUEST);
  narrator.quote(`${asked.status} ${asked.text}`);
  const name = { deviceId: DEVICE_ID, messageId: JSON.parse(asked.text).message_id };
  const kept = readCommandView((await sandbox.client.commandRecord(name)).text);
  const waits = asked.status === 202 && kept.state === "waiting";
  narrator.check("It waits on the gateway's disk, for at most an hour", waits, kept.state);
  await killSurvived(sandbox, narrator, asked);
  const word = finalRecord(sandbox.client, name);
  await deviceDoesIt(sandbox, narrator, name.messageId);
  const { view, answer } = await word;
  narrator.tell("The backend, which has asked GET /command/sensor_002/… with Prefer: wait, hears:");
  narrator.quote(`${answer.status} ${answer.text}`);
  narrator.check(
    "The backend is told as soon as the device has said it: done. The device was given one copy",
    view.state === "done" && sandbox.device(DEVICE_ID).commandsWaiting === 0,
    view.state,
  );
}

async function killSurvived(sandbox: Sandbox, narrator: Narrator, asked: ApiAnswer): Promise<void> {
  sandbox.gateway.kill("SIGKILL");
  const { signal } = await sandbox.gateway.exited;
  await sandbox.startGateway();
  narrator.check("The gateway is killed with SIGKILL again, and started", signal === "SIGKILL");
  const again = await sandbox.client.command(DEVICE_ID, COMMAND, REQUEST);
  narrator.check(
    "The backend asks again with the same key, to be sure: it is the same command",
    again.text === asked.text && again.headers.get("idempotent-replayed") === "true",
    `${again.status} ${again.text}`,
  );
}

async function deviceDoesIt(
  sandbox: Sandbox,
  narrator: Narrator,
  messageId: string,
): Promise<void> {
  const device = await sandbox.connect(DEVICE_ID);
  narrator.tell(`${DEVICE_ID} is switched on, and sends a reading. It receives:`);
  await device.send('{"temperature":18.5}');
  const heard = await device.command();
  narrator.quote(heard.raw);
  const isIt = heard.valid && heard.payload === COMMAND && heard.messageId === messageId;
  narrator.check("The device verifies signature and time of the command that waited", isIt);
  const said = await device.acknowledge(messageId, { state: "done", result: { door: "open" } });
  narrator.tell(`It does it, and says so on device/${DEVICE_ID}/ack, signed:`);
  narrator.quote(said.message);
}

/** Asks until the record is final; each request is held until there is news. */
async function finalRecord(
  client: ApiClient,
  name: { readonly deviceId: string; readonly messageId: string },
): Promise<{ readonly view: CommandView; readonly answer: ApiAnswer }> {
  let etag: string | undefined;
  return await poll("the word of the device", async () => {
    const held = etag === undefined ? {} : { etag, waitSeconds: HELD_SECONDS };
    const answer = await client.commandRecord(name, held);
    if (answer.status !== 200) return undefined;
    etag = answer.headers.get("etag") ?? undefined;
    const view = readCommandView(answer.text);
    return isFinal(view) && { view, answer };
  }, { timeoutMs: WORD_TIMEOUT_MS });
}
