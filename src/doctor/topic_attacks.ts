/** What a connected device may do with its own topics, and must not do with others'. */

import { faultText } from "../core/fault_text.ts";
import type { DeviceClient } from "../client/device_client.ts";
import {
  ackTopic,
  commandTopic,
  dataTopic,
  MARKER_TOPIC,
  receiptTopic,
  responseTopic,
} from "../core/topic.ts";
import { publishAs } from "../site/mosquitto/access_probe.ts";
import { readBrokerAccess } from "../site/operations/broker_access.ts";
import { type Check, type CheckOutcome, fail, pass, passUnless, skip, warn } from "./check.ts";
import type { TestDevices } from "./listeners.ts";
import { temporaryId } from "./temporary_device.ts";

/** The attacks of this family. */
export const TOPIC_ATTACKS: readonly Check<TestDevices>[] = [
  { name: "another device's topic", look: rejectsForeignTopics },
  { name: "acknowledgement, receipt", look: allowsOwnAckAndReceipt },
  { name: "subscription to #", look: (devices) => hearsNothing(devices, "#") },
  { name: "subscription to $SYS/#", look: (devices) => hearsNothing(devices, "$SYS/#") },
  { name: "retained message", look: rejectsRetained },
  { name: "another's client id", look: rejectsForeignClientId },
  { name: "70 kB message", look: rejectsLarge },
];

/** MQTT 5 §3.4.2.1: Not authorized. */
const NOT_AUTHORIZED = 0x87;
const LARGE_BYTES = 70_000;
const TEXT = "a test by secure-iot-gateway doctor";
/** Published by the gateway's own certificate; the second must not be heard. */
const [OWN_RECEIPT, FOREIGN_RECEIPT] = [`${TEXT}: its own`, `${TEXT}: another's`];
/** Does not stay queued after the run. */
const PROPERTIES = { messageExpiryInterval: 30 };
const REMEDY = "Restart the broker with this site's configuration: systemctl restart mosquitto";
/** What to do about a topic that an older site does not know. */
export const UPGRADE_REMEDY = "If the access lists lack it, type: secure-iot-gateway site upgrade";

async function rejectsForeignTopics(devices: TestDevices): Promise<CheckOutcome> {
  const device = await devices.connectNew();
  const other = temporaryId();
  const topics = [
    dataTopic(other),
    responseTopic(other),
    commandTopic(other),
    ackTopic(other),
    receiptTopic(other),
    responseTopic(device.deviceId),
    commandTopic(device.deviceId),
    receiptTopic(device.deviceId),
    MARKER_TOPIC,
  ];
  const faults: string[] = [];
  for (const topic of topics) {
    const { reasonCode } = await device.publish(TEXT, { topic, properties: PROPERTIES });
    if (reasonCode !== NOT_AUTHORIZED) faults.push(`${topic}: accepted, reason ${reasonCode}`);
  }
  return passUnless(faults, {
    observed: `refused on ${topics.length} topics, reason 0x87`,
    remedy: REMEDY,
  });
}

/** The two topics that the access lists of an older site lack. */
async function allowsOwnAckAndReceipt(devices: TestDevices): Promise<CheckOutcome> {
  const read = await readBrokerAccess(devices.listeners.site);
  if (!read.ok) return skip(read.fault.reason);
  const identity = await devices.identity();
  const [own, foreign] = [receiptTopic(identity.deviceId), receiptTopic(temporaryId())];
  const device = await devices.connect(identity, { subscribe: [own, foreign] });
  await publishAs(read.access.gateway.credential, devices.listeners.gateway, {
    [own]: OWN_RECEIPT,
    [foreign]: FOREIGN_RECEIPT,
  });
  const topic = ackTopic(device.deviceId);
  const { reasonCode } = await device.publish(TEXT, { topic, properties: PROPERTIES });
  const refused = refusedAck(device.deviceId, reasonCode);
  await roundTrip(device);
  const texts = device.receipts.map((bytes) => new TextDecoder().decode(bytes));
  const heard = [...texts, ...device.responses.map(({ text }) => text)];
  if (heard.includes(FOREIGN_RECEIPT)) return fail("another device's receipt was received", REMEDY);
  const faults = [
    ...(refused === undefined ? [] : [refused]),
    ...(heard.includes(OWN_RECEIPT) ? [] : [`${own}: a receipt was not received`]),
  ];
  return faults.length === 0
    ? pass("a device may acknowledge, and receives its own receipt only")
    : warn(faults.join("; "), UPGRADE_REMEDY);
}

/** What is wrong if the broker has refused an acknowledgement; undefined if it has not. */
export function refusedAck(deviceId: string, reasonCode: number): string | undefined {
  return reasonCode === NOT_AUTHORIZED ? `${ackTopic(deviceId)}: refused, reason 0x87` : undefined;
}

/** Another device publishes while it is subscribed. */
async function hearsNothing(devices: TestDevices, filter: string): Promise<CheckOutcome> {
  const listener = await devices.connectNew({ subscribe: [filter] });
  const speaker = await devices.connectNew();
  await speaker.publish(TEXT, { properties: PROPERTIES });
  await roundTrip(listener);
  const heard = listener.responses.length + listener.commandsWaiting;
  return heard === 0
    ? pass("granted, but another device's message is not received")
    : fail(`${heard} messages of other devices were received`, REMEDY);
}

/** With MQTT 3.1.1, whose clients are not told that retained messages are refused. */
async function rejectsRetained(devices: TestDevices): Promise<CheckOutcome> {
  const device = await devices.connectNew({ protocolVersion: 4 });
  const { observed, refused } = await ending(device.publish(TEXT, { retain: true }));
  if (refused) return pass(observed);
  await device.publish("", { retain: true }); // takes it back
  return fail("a retained message was accepted", REMEDY);
}

async function rejectsForeignClientId(devices: TestDevices): Promise<CheckOutcome> {
  const victim = await devices.connectNew();
  const thief = await devices.connectNew({ clientId: victim.deviceId, subscribe: false });
  await roundTrip(thief);
  try {
    await roundTrip(victim);
    return pass("connected under its own client id; the other stays connected");
  } catch {
    return fail("the other was disconnected and lost its session", REMEDY);
  }
}

async function rejectsLarge(devices: TestDevices): Promise<CheckOutcome> {
  const device = await devices.connectNew({ protocolVersion: 4 });
  const { observed, refused } = await ending(device.publish("x".repeat(LARGE_BYTES)));
  return refused ? pass(observed) : fail(`a message of ${LARGE_BYTES} bytes was accepted`, REMEDY);
}

/** When this returns, everything that the broker sent before has arrived. */
async function roundTrip(device: DeviceClient): Promise<void> {
  await device.publish(TEXT, { topic: responseTopic(device.deviceId), properties: PROPERTIES });
}

/** Whether the broker ends the connection instead of accepting a message. */
async function ending(publish: Promise<unknown>): Promise<{ observed: string; refused: boolean }> {
  try {
    await publish;
    return { observed: "", refused: false };
  } catch (error) {
    return { observed: `refused: ${faultText(error)}`, refused: true };
  }
}
