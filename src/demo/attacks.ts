/** The three attacks: a replay, a tampered payload, an impostor; each is refused, and the story shows where. */

import { deviceFolder } from "../site/layout.ts";
import type { Narrator } from "./narrator.ts";
import { DeviceClient, type SignedMessage } from "../client/device_client.ts";
import type { Sandbox } from "./sandbox/sandbox.ts";
import { poll } from "../time/poll.ts";

const TEN_MINUTES_SECONDS = 600;
/** MQTT 5 §3.4.2.1: Not authorized. */
const NOT_AUTHORIZED = 0x87;
const NO_CERTIFICATE = /^.*did not return a certificate.*$/m;

/** Makes all attacks; `reading` is the one message that the backend has, captured on its way. */
export async function attacksFail(
  sandbox: Sandbox,
  narrator: Narrator,
  { reading }: { reading: SignedMessage },
): Promise<void> {
  await replayFails(sandbox, narrator, { reading });
  await tamperingFails(sandbox, narrator);
  const own = await impostorFails(sandbox, narrator);
  await honestReadingArrives(sandbox, narrator, { before: [reading, own] });
}

async function replayFails(
  sandbox: Sandbox,
  narrator: Narrator,
  { reading }: { reading: SignedMessage },
): Promise<void> {
  const device = sandbox.device("sensor_001");
  narrator.scene("Attack: a captured message is sent again");
  narrator.tell(
    "Right away, the exact bytes of the first reading, on sensor_001's own connection:",
  );
  await refused(sandbox, narrator, {
    sentence: "Rejected message from sensor_001: Replayed message",
    attack: () => device.publish(reading.message),
  });
  narrator.tell("");
  narrator.tell(
    "And ten minutes later, when its id may be forgotten. The demo cannot wait that long:",
  );
  narrator.tell(
    "the device signs a message with the time of ten minutes ago, as if captured then:",
  );
  const old = await device.sign('{"temperature":21.5}', {
    timestamp: reading.timestamp - TEN_MINUTES_SECONDS,
  });
  narrator.quote(old.message);
  await refused(sandbox, narrator, {
    sentence: "Rejected message from sensor_001: Timestamp out of range",
    attack: () => device.publish(old.message),
  });
}

async function tamperingFails(sandbox: Sandbox, narrator: Narrator): Promise<void> {
  const device = sandbox.device("sensor_001");
  narrator.scene("Attack: a payload is changed on its way");
  const { message } = await device.sign('{"temperature":22.5}');
  const tampered = message.replace("22.5", "99.9");
  narrator.tell("22.5 becomes 99.9; the signature is the one of 22.5:");
  narrator.quote(tampered);
  await refused(sandbox, narrator, {
    sentence: "Rejected message from sensor_001: Invalid signature",
    attack: () => device.publish(tampered),
  });
}

async function impostorFails(sandbox: Sandbox, narrator: Narrator): Promise<SignedMessage> {
  const impostor = sandbox.device("sensor_002");
  narrator.scene("Attack: one device publishes as another");
  narrator.tell(
    "sensor_002 has stolen sensor_001's secret, and signs as sensor_001 on its own topic:",
  );
  const secret = await Deno.readTextFile(deviceFolder(sandbox.layout, "sensor_001").secret);
  const forged = await impostor.sign('{"temperature":0}', { deviceId: "sensor_001", secret });
  narrator.quote(forged.message);
  await refused(sandbox, narrator, {
    sentence: "Rejected message: device_id mismatch with TLS identity",
    attack: () => impostor.publish(forged.message),
  });
  narrator.tell("");
  const own = await foreignTopicFails(sandbox, narrator, { forged });
  narrator.tell("");
  await strangerFails(sandbox, narrator);
  return own;
}

async function foreignTopicFails(
  sandbox: Sandbox,
  narrator: Narrator,
  { forged }: { forged: SignedMessage },
): Promise<SignedMessage> {
  const impostor = sandbox.device("sensor_002");
  const topic = "device/sensor_001/data";
  narrator.tell(
    `The same on ${topic}. The broker knows the sender from its certificate, and drops it:`,
  );
  const linesBefore = sandbox.gateway.lines().length;
  const receivedBefore = sandbox.backend.received.length;
  const { reasonCode } = await impostor.publish(forged.message, { topic });
  narrator.quote(`PUBACK, reason code 0x${reasonCode.toString(16)}`);
  narrator.check("The broker answers 0x87, not authorized", reasonCode === NOT_AUTHORIZED);
  const own = await impostor.send('{"temperature":18.0}');
  await sandbox.readingAt(own.messageId);
  narrator.check(
    "The gateway receives nothing of it; what sensor_002 sends next under its own id arrives",
    sandbox.gateway.lines().length === linesBefore &&
      sandbox.backend.received.length === receivedBefore + 1,
  );
  return own;
}

async function strangerFails(sandbox: Sandbox, narrator: Narrator): Promise<void> {
  narrator.tell("Somebody without a certificate connects. The broker's log:");
  const { directory } = deviceFolder(sandbox.layout, "sensor_001");
  const stranger = DeviceClient.connect(directory, {
    port: sandbox.ports.mqtt,
    clientCertificate: null,
  });
  const outcome = await stranger.then(async (device) => {
    await device.close();
    return "connected";
  }, (error: Error) => error.message);
  const line = await poll(
    "the broker's log line",
    () => NO_CERTIFICATE.exec(sandbox.broker.log())?.[0],
  );
  narrator.quote(line);
  narrator.check("The broker ends the connection before anything is said", outcome !== "connected");
}

async function honestReadingArrives(
  sandbox: Sandbox,
  narrator: Narrator,
  { before }: { before: readonly SignedMessage[] },
): Promise<void> {
  narrator.scene("After the attacks");
  const next = await sandbox.device("sensor_001").send('{"temperature":22.75}');
  await sandbox.readingAt(next.messageId);
  const ids = sandbox.backend.received.map(({ messageId }) => messageId);
  narrator.check(
    "An honest reading gets through; the backend has the honest ones and nothing else",
    ids.join() === [...before, next].map(({ messageId }) => messageId).join(),
    ids.join(", "),
  );
}

/** Makes an attack, and shows the line of the gateway's log that refuses it. */
async function refused(
  sandbox: Sandbox,
  narrator: Narrator,
  { attack, sentence }: { attack: () => Promise<unknown>; sentence: string },
): Promise<void> {
  const linesBefore = sandbox.gateway.lines().length;
  const receivedBefore = sandbox.backend.received.length;
  await attack();
  const [line, ...more] = await poll("the gateway's log line", () => {
    const lines = sandbox.gateway.lines().slice(linesBefore);
    return lines.length > 0 && lines;
  });
  narrator.tell("The gateway's log:");
  narrator.quote(JSON.stringify(line));
  narrator.check(
    `Refused: ${sentence}`,
    (line?.message.startsWith(sentence) ?? false) && more.length === 0,
  );
  const received = sandbox.backend.received.length - receivedBefore;
  narrator.check("The backend receives nothing of it", received === 0, `${received} POSTs`);
}
