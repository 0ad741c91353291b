/**
 * A device with the kit in JavaScript and npm's mqtt: `device.mjs ORDERS`, where ORDERS is JSON.
 *
 * It makes readings until there are enough, executes commands by writing each into a file, and
 * keeps its state in a journal, so that it may be killed at any moment. It runs until it is killed.
 */

import { Buffer } from "node:buffer";
import { appendFileSync, existsSync, readFileSync, truncateSync } from "node:fs";
import { argv } from "node:process";
import { setTimeout as pause } from "node:timers/promises";
import mqtt from "mqtt";
import { Device } from "../../../kits/javascript/secure_iot_device.mjs";

const SESSION_SECONDS = 3_600;
const STEP_MS = 10;

const orders = JSON.parse(argv[2]);
const read = (name) => readFileSync(`${orders.folder}/${name}`);
const about = JSON.parse(read("device.json"));
const { topics } = about;
const uptime = () => Math.floor(performance.now() * orders.speed / 1000);

/** The complete lines of a file; what a kill has cut off is taken away. */
function linesOf(path) {
  if (!existsSync(path)) return [];
  const bytes = readFileSync(path);
  const length = bytes.lastIndexOf("\n") + 1;
  truncateSync(path, length);
  return bytes.subarray(0, length).toString().split("\n").slice(0, -1);
}

/** Each change as a line of JSON, written before the call returns. */
class Journal {
  made = 0;
  #queue = [];
  #commands = new Map();

  constructor() {
    for (const line of linesOf(orders.journal)) this.#apply(JSON.parse(line));
  }

  #apply([change, id, rest]) {
    if (change === "append") this.made = (this.#queue.push({ id, payload: rest }), this.made + 1);
    else if (change === "drop") this.#queue.shift();
    else if (change === "keep") this.#commands.set(id, rest);
    else this.#commands.delete(id);
  }

  #write(...change) {
    appendFileSync(orders.journal, `${JSON.stringify(change)}\n`);
    this.#apply(change);
  }

  append = ({ id, payload }) => this.#write("append", id, payload);
  front = () => this.#queue[0];
  drop = () => this.#write("drop");
  commands = () => [...this.#commands.values()];
  keep = (command) => this.#write("keep", command.id, command);
  forget = ({ id }) => this.#write("forget", id);
}

const executed = new Set(linesOf(orders.executions).map((line) => line.split(" ")[0]));
const journal = new Journal();
const device = new Device(about.device_id, read("secret").toString(), journal);
if (orders.ahead !== null) {
  device.setClock(uptime(), Math.floor(Date.now() / 1000) + orders.ahead);
}

const client = mqtt.connect({
  ...{ protocol: "mqtts", host: "localhost", port: orders.port, protocolVersion: orders.mqtt },
  ...{ ca: read("ca.crt"), cert: read("client.crt"), key: read("client.key") },
  ...{ clientId: about.client_id, clean: false, keepalive: 5, reconnectPeriod: 100 },
  ...{ connectTimeout: 3_000, resubscribe: false },
  ...(orders.mqtt === 5 && { properties: { sessionExpiryInterval: SESSION_SECONDS } }),
});
let isSubscribed = false;
let isReady = false;
const arrived = [];
client.on("error", () => {}); // it connects again
client.on("close", () => isSubscribed = false);
client.on("connect", () => {
  const names = ["command", "receipt", "response"].map((name) => topics[name]);
  client.subscribe(names, { qos: 1 }, (error) => isReady = !error);
});
// The broker is told that a message has come when it has been dealt with.
client.handleMessage = (packet, done) => arrived.push({ packet, done });

const publish = (topic, message) => client.publish(topics[topic], message, { qos: 1 });

function execute(messageId, payload) {
  appendFileSync(orders.executions, `${messageId} ${payload}\n`);
  executed.add(messageId);
}

async function obey(message) {
  const command = await device.command(uptime(), message);
  if (command.result !== "ok" && command.result !== "repeated") return;
  const messageId = command.messageId.toLowerCase();
  if (command.result === "ok") execute(messageId, command.payload);
  else if (command.acknowledgement) return publish("ack", command.acknowledgement);
  // Killed after its id was kept.
  else if (!executed.has(messageId)) execute(messageId, command.payload);
  publish("ack", await device.acknowledge(uptime(), messageId, "done"));
}

async function take({ topic, payload, properties }) {
  const message = Buffer.from(payload);
  if (topic === topics.command) await obey(message);
  else if (topic === topics.receipt) await device.receipt(uptime(), message);
  else if (orders.mqtt === 5) await device.response(properties?.userProperties ?? {}, message);
}

/** One thing after the other: the kit is asked again when it has answered. */
for (let nextMs = performance.now();; await pause(STEP_MS)) {
  if (journal.made < orders.readings && performance.now() >= nextMs) {
    await device.enqueue(`{"n":${journal.made}}`);
    nextMs = performance.now() + orders.every_ms;
  }
  for (let one = arrived.shift(); one; one = arrived.shift()) {
    await take(one.packet);
    one.done();
  }
  if (isReady) {
    isReady = false;
    isSubscribed = true;
    device.connected(uptime());
  }
  const message = isSubscribed ? await device.next(uptime()) : null;
  if (message) publish("data", message);
}
