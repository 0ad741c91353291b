/** Drives the JavaScript kit by lines on standard input, one answer a line: see kit_driver.ts. */

import process from "node:process";
import { createInterface } from "node:readline";
import { Device, MemoryStore } from "../../../kits/javascript/secure_iot_device.mjs";

const UTF_8 = new TextEncoder();
let device, store, settings;

const bytes = (digits) => Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));
const text = (digits) => new TextDecoder().decode(bytes(digits));
const shown = (message) =>
  Array.from(UTF_8.encode(message), (byte) => byte.toString(16).padStart(2, "0")).join("");

function start() {
  const [id, secret, places, seconds] = settings;
  const limits = { knownMost: Number(places), knownSeconds: Number(seconds) || undefined };
  device = new Device(id, text(secret), store, limits);
}

/** What is printed for one line, by its verb. */
const ANSWERS = {
  device(...words) {
    store = new MemoryStore();
    settings = words;
    start();
    return "ok";
  },
  restart() {
    start();
    return "ok";
  },
  clock(uptime, now) {
    device.setClock(Number(uptime), Number(now));
    return "ok";
  },
  connected(uptime) {
    device.connected(Number(uptime));
    return "ok";
  },
  async enqueue(payload) {
    return `ok ${await device.enqueue(text(payload))}`;
  },
  async next(uptime) {
    const message = await device.next(Number(uptime));
    return message === null ? "idle" : `send ${shown(message)}`;
  },
  async receipt(uptime, message) {
    const { result, fate } = await device.receipt(Number(uptime), bytes(message));
    return result === "ok" ? `ok ${fate}` : result;
  },
  async response(message_id, status, timestamp, signature, body) {
    const properties = { message_id, status, timestamp, signature };
    return (await device.response(properties, bytes(body))).result;
  },
  async command(uptime, message) {
    const { result, payload, state } = await device.command(Number(uptime), bytes(message));
    if (result === "ok") return `ok ${shown(payload)}`;
    return result === "repeated" ? `repeated ${state || "-"}` : result;
  },
  async acknowledge(uptime, id, state, result, reason) {
    const more = { result: text(result) || undefined, reason: text(reason) || undefined };
    return `send ${shown(await device.acknowledge(Number(uptime), id, state, more))}`;
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const [verb, ...words] = line.split(" ").map((word) => word === "-" ? "" : word);
  if (verb === "end") break;
  try {
    console.log(await ANSWERS[verb](...words));
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    console.log("malformed");
  }
}
