/**
 * The story: a signed reading goes in, clean JSON comes out, a signed command goes back; three
 * attacks fail; an outage and a kill lose nothing; a command waits for its device, and is done once.
 * Every claim is checked while it is told.
 */

import { awayDeviceObeys } from "./away.ts";
import { attacksFail } from "./attacks.ts";
import type { Narrator } from "./narrator.ts";
import type { Reading } from "./sandbox/sample_backend.ts";
import type { DeviceClient, SignedMessage } from "../client/device_client.ts";
import type { Sandbox } from "./sandbox/sandbox.ts";
import { poll } from "../time/poll.ts";

const READINGS_IN_OUTAGE = 5;

/** Tells the whole story in an empty sandbox; leaves everything running at its end. */
export async function tellStory(sandbox: Sandbox, narrator: Narrator): Promise<void> {
  await setUp(sandbox, narrator);
  const reading = await readingArrives(sandbox, narrator);
  await commandArrives(sandbox, narrator);
  await attacksFail(sandbox, narrator, { reading });
  await outageLosesNothing(sandbox, narrator);
  await awayDeviceObeys(sandbox, narrator);
}

/** Stops the gateway cleanly, as part of the story. */
export async function stopInGoodOrder(sandbox: Sandbox, narrator: Narrator): Promise<void> {
  narrator.scene("The end");
  const code = await sandbox.gateway.stop();
  narrator.check("On SIGTERM the gateway drains and ends with exit code 0", code === 0, `${code}`);
}

async function setUp(sandbox: Sandbox, narrator: Narrator): Promise<void> {
  narrator.scene("A site with its own authorities, a broker, a gateway, a backend, two devices");
  narrator.tell(`DIR is ${sandbox.layout.directory}`);
  await runShown(sandbox, narrator, sandbox.initArguments);
  await runShown(sandbox, narrator, ["device", "add", "sensor_001"]);
  await runShown(sandbox, narrator, ["device", "add", "sensor_002"]);
  narrator.quote("$ mosquitto -c DIR/mosquitto/mosquitto.conf");
  await sandbox.startBroker();
  sandbox.startBackend();
  narrator.quote("$ secure-iot-gateway run --dir DIR");
  await sandbox.startGateway();
  const { status, text } = await sandbox.client.get("/readyz");
  narrator.check("The gateway is connected to the broker and ready", status === 200, text);
  await sandbox.connect("sensor_001");
  await sandbox.connect("sensor_002");
  narrator.check("Two devices are connected, each with its own certificate", true);
}

async function runShown(
  sandbox: Sandbox,
  narrator: Narrator,
  args: readonly string[],
): Promise<void> {
  narrator.quote(`$ secure-iot-gateway ${args.join(" ")} --dir DIR`);
  await sandbox.run(...args, "--dir", sandbox.layout.directory);
}

async function readingArrives(sandbox: Sandbox, narrator: Narrator): Promise<SignedMessage> {
  const device = sandbox.device("sensor_001");
  narrator.scene("A signed reading goes in, clean JSON comes out");
  narrator.tell("sensor_001 signs a reading and publishes it on device/sensor_001/data:");
  const signed = await device.sign('{"temperature": 22.50, "counter": 12345678901234567890}');
  narrator.quote(signed.message);
  await device.publish(signed.message);

  const posted = await sandbox.readingAt(signed.messageId);
  narrator.tell(`The backend receives ${posted.method} ${posted.path}:`);
  narrator.quote(posted.text);
  narrator.check(
    "The backend has the signed payload byte for byte, 22.50 and 20 digits included",
    posted.text === '{"temperature":22.50,"counter":12345678901234567890}',
  );
  const answer = await device.response(signed.messageId);
  narrator.tell("The device receives on device/sensor_001/response:");
  narrator.quote(answer.text);
  narrator.check(
    "The backend's answer is back at the device, paired with its message",
    answer.text === '{"status":"received"}' && answer.status === "200",
    `status ${answer.status}`,
  );
  return signed;
}

async function commandArrives(sandbox: Sandbox, narrator: Narrator): Promise<void> {
  const device = sandbox.device("sensor_001");
  const command = '{"action":"reboot"}';
  narrator.scene("A signed command goes back");
  narrator.tell(`The backend asks: POST ${sandbox.client.url}/command/sensor_001`);
  narrator.quote(command);
  const { status, text } = await sandbox.client.command("sensor_001", command);
  narrator.quote(`${status} ${text}`);
  narrator.check("The gateway takes it: the broker has it for the device", status === 202);

  const heard = await device.command();
  narrator.tell("The device receives on device/sensor_001/command:");
  narrator.quote(heard.raw);
  narrator.check(
    "The device verifies signature and time, and finds what the backend said",
    heard.valid && heard.payload === command && JSON.parse(text).message_id === heard.messageId,
  );
  const refused = await sandbox.client.command("sensor_001", command, { key: "guessed" });
  narrator.check("With a guessed API key the answer is 401", refused.status === 401, refused.text);
}

async function outageLosesNothing(sandbox: Sandbox, narrator: Narrator): Promise<void> {
  narrator.scene("The backend goes away, then the gateway is killed");
  await sandbox.backend.stop();
  const sent = await sendDuringOutage(sandbox);
  narrator.tell(`The backend is stopped. The devices send ${sent.length} readings meanwhile.`);
  await poll(`${sent.length} entries in the outbox`, () => pendingIs(sandbox, sent.length));
  narrator.quote(`secure_iot_gateway_pending ${sent.length}`);
  narrator.check(`All ${sent.length} wait on the gateway's disk, as its metrics say`, true);

  sandbox.gateway.kill("SIGKILL");
  const { signal } = await sandbox.gateway.exited;
  narrator.check("The gateway is killed with SIGKILL", signal === "SIGKILL", `${signal}`);

  sandbox.startBackend();
  await sandbox.startGateway();
  narrator.tell("The backend and the gateway are started again.");
  for (const { messageId } of sent) await sandbox.readingAt(messageId);
  for (const { device, messageId } of sent) await device.response(messageId);
  await poll("an empty outbox", () => pendingIs(sandbox, 0));
  checkArrivals(sent, sandbox.backend.received, narrator);
}

async function pendingIs(sandbox: Sandbox, count: number): Promise<boolean> {
  return await sandbox.client.metric("secure_iot_gateway_pending") === count;
}

interface Sent {
  readonly device: DeviceClient;
  readonly payload: string;
  readonly messageId: string;
}

async function sendDuringOutage(sandbox: Sandbox): Promise<Sent[]> {
  const sent: Sent[] = [];
  for (let count = 1; count <= READINGS_IN_OUTAGE; count++) {
    for (const device of [sandbox.device("sensor_001"), sandbox.device("sensor_002")]) {
      const payload = `{"count":${count},"temperature":${20 + count}.0}`;
      sent.push({ device, payload, ...await device.send(payload) });
    }
  }
  return sent;
}

function checkArrivals(
  sent: readonly Sent[],
  received: readonly Reading[],
  narrator: Narrator,
): void {
  narrator.quote(`${received.length} POSTs, the last: ${received.at(-1)?.text}`);
  const inOrder = (lines: readonly string[]) => lines.toSorted().join("\n");
  narrator.check(
    "Every reading arrives once, with the bytes that were signed",
    inOrder(received.map(({ messageId, text }) => messageId + text)) ===
      inOrder(sent.map(({ messageId, payload }) => messageId + payload)),
    `${received.length} POSTs for ${sent.length} readings`,
  );
  for (const device of new Set(sent.map(({ device }) => device))) {
    const { deviceId } = device;
    narrator.check(
      `Those of ${deviceId} are in their order, and each is answered`,
      received.filter((reading) => reading.deviceId === deviceId)
        .map(({ messageId }) => messageId).join() ===
        sent.filter((one) => one.device === device).map(({ messageId }) => messageId).join(),
    );
  }
}
