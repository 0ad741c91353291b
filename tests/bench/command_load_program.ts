/**
 * Commands at a steady pace, in a process of its own: `command_load_program.ts FILE`, a JSON text.
 *
 * It connects the devices, which acknowledge each command as done, and asks the API for commands from
 * GET /start on; GET /stop answers with what came of them.
 */

import { Buffer } from "node:buffer";
import mqtt from "mqtt";
import { importSecret, sign } from "../../src/core/signature.ts";
import { signingInput } from "../../src/core/signing_input.ts";
import { ackTopic, commandTopic } from "../../src/core/topic.ts";
import { deviceFolderAt } from "../../src/site/layout.ts";
import type { CommandLoadOptions, CommandLoadResult } from "./command_load.ts";

const DONE = '{"state":"done"}';

const options: CommandLoadOptions = JSON.parse(Deno.readTextFileSync(Deno.args[0]!));
const { devices, ports, perSecond } = options;
const client = Deno.createHttpClient({ caCerts: [options.ca] });
const result: CommandLoadResult = { asked: 0, accepted: 0, received: 0, longestMs: 0 };
const underWay = new Set<Promise<void>>();
let timer: ReturnType<typeof setInterval> | undefined;

for (const device of devices) await connect(device);
Deno.serve({ hostname: "127.0.0.1", port: options.controlPort, onListen }, async (request) => {
  const { pathname } = new URL(request.url);
  if (pathname === "/start") start();
  else await stop();
  return Response.json(result);
});

function onListen(): void {
  console.log("listening");
}

function start(): void {
  Object.assign(result, { asked: 0, accepted: 0, received: 0, longestMs: 0 });
  const startMs = performance.now();
  timer = setInterval(() => {
    const due = Math.floor((performance.now() - startMs) * perSecond / 1000);
    while (result.asked < due) {
      const asked = ask(result.asked++).finally(() => underWay.delete(asked));
      underWay.add(asked);
    }
  }, 5);
}

/** Waits for the answers, and for the copies that are still on their way. */
async function stop(): Promise<void> {
  clearInterval(timer);
  await Promise.all(underWay);
  for (let i = 0; i < 100 && result.received < result.accepted; i++) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function ask(number: number): Promise<void> {
  const { deviceId } = devices[number % devices.length]!;
  const startMs = performance.now();
  const response = await fetch(`https://localhost:${ports.api}/command/${deviceId}`, {
    method: "POST",
    body: `{"n":${number}}`,
    headers: {
      "authorization": `Bearer ${options.key}`,
      "content-type": "application/json",
      "idempotency-key": crypto.randomUUID(),
      "ttl": "600",
    },
    client,
  });
  await response.bytes();
  result.longestMs = Math.max(result.longestMs, performance.now() - startMs);
  if (response.status === 202) result.accepted++;
}

async function connect({ deviceId, folder, secret }: CommandLoadOptions["devices"][number]) {
  const files = deviceFolderAt(folder);
  const key = (await importSecret(secret))!;
  const connection = await mqtt.connectAsync({
    protocol: "mqtts",
    host: "localhost",
    port: ports.mqtt,
    ca: Deno.readTextFileSync(files.ca),
    cert: Deno.readTextFileSync(files.certificate),
    key: Deno.readTextFileSync(files.key),
    protocolVersion: 5,
    clientId: deviceId,
    reconnectPeriod: 0,
    timerVariant: "native",
    log: () => {},
  });
  connection.on("message", async (_topic, message) => {
    result.received++;
    const { message_id: messageId, timestamp } = JSON.parse(message.toString());
    const fields = { deviceId, messageId, timestamp: String(timestamp) };
    const input = signingInput(fields, new TextEncoder().encode(DONE), "acknowledgement");
    const signature = await sign(key, input);
    const text = `{"device_id":"${deviceId}","timestamp":${timestamp},` +
      `"message_id":"${messageId}","payload":${DONE},"signature":"${signature}"}`;
    connection.publish(ackTopic(deviceId), Buffer.from(text), { qos: 1 });
  });
  await connection.subscribeAsync(commandTopic(deviceId), { qos: 1 });
}
