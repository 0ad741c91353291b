/**
 * The story of two gateways on one store: what goes in at one is refused at the other the second time;
 * what one leaves, the other sends; the store's primary dies, and nothing is lost; a command finds its
 * device, and a revocation is proved at every broker. Every claim is checked while it is told.
 */

import type { DeviceClient, SignedMessage } from "../client/device_client.ts";
import { poll } from "../time/poll.ts";
import type { Narrator } from "./narrator.ts";
import type { NodesSandbox } from "./sandbox/nodes_sandbox.ts";

const LEFT = 5;
const IN_FAIL_OVER = 6;
const REPLAYED = 'rejected_total{code="replayed"}';

/** How long anything may take that a lease or a fail-over is part of. */
const PATIENT = { timeoutMs: 30_000 };

/** Tells it in an empty sandbox. */
export async function tellNodesStory(sandbox: NodesSandbox, narrator: Narrator): Promise<void> {
  await setUp(sandbox, narrator);
  const { a, b } = sandbox;
  const first = await a.connect("sensor_001");
  const second = await b.connect("sensor_002");
  sandbox.devices.push(first, second);
  await onceAtBoth(sandbox, narrator, first);
  await leftoversAreSent(sandbox, narrator, first);
  await primaryDies(sandbox, narrator, [first, second]);
  await commandFindsDevice(sandbox, narrator, first);
  await revocationIsEverywhere(sandbox, narrator, second);
}

async function setUp(sandbox: NodesSandbox, narrator: Narrator): Promise<void> {
  narrator.scene("A store in PostgreSQL with a standby, and two gateways with a broker each");
  narrator.tell(`DIR is ${sandbox.a.layout.directory}`);
  const shown = async (...args: string[]) => {
    narrator.quote(`$ secure-iot-gateway ${args.join(" ")} --dir DIR`);
    await sandbox.run(...args);
  };
  await sandbox.startPostgres();
  await shown(...sandbox.initArguments);
  narrator.tell("In DIR/gateway.toml:");
  for (const line of await sandbox.configure()) narrator.quote(line);
  await shown("store", "migrate");
  await shown("device", "add", "sensor_001");
  await shown("device", "add", "sensor_002");
  await shown(...sandbox.nodeArguments);
  for (const { name, layout } of [sandbox.a, sandbox.b]) {
    const folder = name === "a" ? "DIR" : "DIR/nodes/b";
    narrator.quote(`$ mosquitto -c ${layout.brokerConfiguration.replace(/.*\/site/, "DIR")}`);
    if (name === "b") narrator.quote(`$ secure-iot-gateway lists follow --dir ${folder}`);
    narrator.quote(`$ secure-iot-gateway run --dir ${folder}`);
  }
  await sandbox.a.start();
  await sandbox.b.start();
  for (const { name, client } of [sandbox.a, sandbox.b]) {
    const { status, text } = await client.get("/readyz");
    narrator.check(`Gateway ${name} is ready`, status === 200, text);
  }
}

async function onceAtBoth(
  { b }: NodesSandbox,
  narrator: Narrator,
  device: DeviceClient,
): Promise<void> {
  narrator.scene("A reading goes in at one gateway, and not a second time at the other");
  const sent = await device.send('{"temperature":22.50}');
  await device.response(sent.messageId);
  narrator.check("sensor_001 sends a reading through gateway a, and has its answer", true);
  const elsewhere = await b.connect("sensor_001");
  await elsewhere.publish(sent.message);
  const isRefused = await poll("the refusal", async () => await b.metric(REPLAYED) === 1);
  narrator.check("The same message, captured and sent to gateway b, is refused there", isRefused);
  await elsewhere.close();
}

async function leftoversAreSent(
  sandbox: NodesSandbox,
  narrator: Narrator,
  device: DeviceClient,
): Promise<void> {
  narrator.scene("A gateway is killed, and the other sends what it left");
  const { a, backend } = sandbox;
  const { answer } = backend;
  backend.answer = () => new Response(null, { status: 503 });
  const sent: SignedMessage[] = [];
  for (let i = 1; i <= LEFT; i++) sent.push(await device.send(`{"count":${i}}`));
  await poll("the readings in the store", async () => await a.metric("pending") === LEFT);
  narrator.tell(`The backend takes nothing. ${LEFT} readings wait at gateway a.`);
  const signal = await a.kill();
  narrator.check("Gateway a is killed with SIGKILL", signal === "SIGKILL", `${signal}`);
  const before = backend.received.length;
  backend.answer = answer;
  for (const { messageId } of sent) {
    const again = () => backend.received.slice(before).some((one) => one.messageId === messageId);
    await poll("a reading that gateway a left", again, PATIENT);
  }
  const order = new Set(backend.received.slice(before).map(({ messageId }) => messageId));
  const isInOrder = [...order].join() === sent.map(({ messageId }) => messageId).join();
  narrator.check(`After its lease, gateway b sends all ${LEFT}, in their order`, isInOrder);
  await a.start();
  narrator.check("Gateway a is started again", true);
}

async function primaryDies(
  sandbox: NodesSandbox,
  narrator: Narrator,
  devices: readonly DeviceClient[],
): Promise<void> {
  narrator.scene("The store's primary is killed, and its standby takes over");
  await sandbox.postgres.failOver();
  narrator.tell(
    "The primary is killed with SIGKILL; the standby is promoted. Devices go on sending.",
  );
  const sent: SignedMessage[] = [];
  for (let i = 0; i < IN_FAIL_OVER; i++) {
    sent.push(await devices[i % devices.length]!.send(`{"count":${i}}`));
  }
  const isTaken = sandbox.backend.received.some(({ messageId }) =>
    messageId === sent[0]!.messageId
  );
  narrator.check("Nothing is taken in while no second server has it", !isTaken);
  await sandbox.postgres.addStandby();
  narrator.tell("A new standby follows.");
  for (const { messageId } of sent) await sandbox.readingAt(messageId);
  narrator.check(`All ${sent.length} readings arrive, and none twice`, isOnce(sandbox, sent));
}

function isOnce({ backend }: NodesSandbox, sent: readonly SignedMessage[]): boolean {
  return sent.every(({ messageId }) =>
    backend.received.filter((one) => one.messageId === messageId).length === 1
  );
}

async function commandFindsDevice(
  { b }: NodesSandbox,
  narrator: Narrator,
  device: DeviceClient,
): Promise<void> {
  narrator.scene("A command through one gateway reaches a device at the other");
  const command = '{"action":"reboot"}';
  const { status, text } = await b.client.command("sensor_001", command);
  narrator.quote(`POST ${b.client.url}/command/sensor_001\n${status} ${text}`);
  const heard = await device.command(PATIENT);
  narrator.check(
    "Asked of gateway b, it comes to sensor_001, which is connected to gateway a's broker",
    status === 202 && heard.valid && heard.payload === command,
    text,
  );
}

async function revocationIsEverywhere(
  sandbox: NodesSandbox,
  narrator: Narrator,
  device: DeviceClient,
): Promise<void> {
  narrator.scene("A device is revoked at one gateway, and cut off at the other's broker");
  narrator.quote("$ secure-iot-gateway device revoke sensor_002 --reason stolen --dir DIR");
  const said = await sandbox.run("device", "revoke", "sensor_002", "--reason", "stolen");
  const word = /^gateway b: .*$/m.exec(said)?.[0];
  narrator.quote(word ?? said);
  const isEnded = await poll("the end of its connection", () => !device.connected);
  narrator.check("sensor_002 was connected to gateway b's broker: that is ended", isEnded);
  const refusal = await sandbox.b.connect("sensor_002").then(
    async (again) => {
      await again.close();
      return "it was let in";
    },
    (error: Error) => error.message,
  );
  narrator.check("It cannot connect there again", /revoked/i.test(refusal), refusal);
}
