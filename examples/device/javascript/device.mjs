// npm install mqtt; secure_iot_device.mjs beside it; node device.mjs devices/sensor_001
import { closeSync, existsSync, fsyncSync, openSync } from "node:fs";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import process from "node:process";
import mqtt from "mqtt";
import { Device } from "./secure_iot_device.mjs";
const read = (name) => readFileSync(`${process.argv[2]}/${name}`);
const { device_id, client_id, broker, topics } = JSON.parse(read("device.json"));
const kept = `${process.argv[2]}/kept.json`;
class Store { // what outlives a power cut: readings nobody has answered, commands we have had
  all = existsSync(kept) ? JSON.parse(read("kept.json")) : { readings: [], commands: {} };
  #write() {
    const file = openSync(`${kept}.new`, "w");
    writeFileSync(file, JSON.stringify(this.all)), fsyncSync(file), closeSync(file);
    renameSync(`${kept}.new`, kept);
  }
  append = (reading) => (this.all.readings.push(reading), this.#write());
  front = () => this.all.readings[0];
  drop = () => (this.all.readings.shift(), this.#write());
  commands = () => Object.values(this.all.commands);
  keep = (command) => (this.all.commands[command.id] = command, this.#write());
  forget = ({ id }) => (delete this.all.commands[id], this.#write());
}
const uptime = () => Math.floor(performance.now() / 1000);
const store = new Store();
const device = new Device(device_id, read("secret").toString(), store);
device.setClock(uptime(), Math.floor(Date.now() / 1000)); // leave it out where there is no clock
if (!store.front()) await device.enqueue('{"temperature":22.5,"humidity":60}'); // as often as you like
const [ca, cert, key] = ["ca.crt", "client.crt", "client.key"].map(read);
const session = { clientId: client_id, clean: false, resubscribe: false, protocolVersion: 5 };
const properties = { sessionExpiryInterval: 7 * 86400 }; // so long the broker keeps commands for us
const client = mqtt.connect({
  ...broker,
  protocol: "mqtts",
  ca,
  cert,
  key,
  ...session,
  properties,
});
const publish = (topic, message) => client.publish(topic, message, { qos: 1 });
async function obey(message) {
  const command = await device.command(uptime(), message);
  let word = command.acknowledgement; // of a copy: what we said of it before
  if (command.result === "ok") { // its id is kept, so do it here: it does not happen twice
    console.log("command:", command.payload);
    word = await device.acknowledge(uptime(), command.messageId, "done");
  } else if (command.result === "repeated" && !word) { // a restart before we could say "done"
    word = await device.acknowledge(uptime(), command.messageId, "received");
  }
  if (word) publish(topics.ack, word);
}
async function take({ topic, payload, properties }) {
  if (topic === topics.command) return await obey(payload);
  const is = topic === topics.receipt ? "receipt" : "answer"; // a receipt also sets our clock
  const { result, payload: said = payload } = is === "receipt"
    ? await device.receipt(uptime(), payload) // why a reading was refused
    : await device.response(properties?.userProperties ?? {}, payload);
  const genuine = result === "ok" || result === "other";
  console.log(genuine ? `${is}:` : `${is}, not signed with our secret:`, said.toString());
}
let turn = Promise.resolve(); // the kit is asked one thing after the other
const inTurn = (work) =>
  turn = turn.then(work).catch((error) => (console.error(error), process.exit(1)));
let isReady = false;
client.on("error", (error) => console.error(error.message)).on("close", () => isReady = false);
client.on(
  "connect",
  () =>
    client.subscribe([topics.command, topics.receipt, topics.response], { qos: 1 }, (error) => {
      if (!error) inTurn(() => (device.connected(uptime()), isReady = true));
    }),
);
client.handleMessage = (packet, done) => inTurn(() => take(packet)).then(() => done()); // then PUBACK
setInterval(() =>
  inTurn(async () => {
    const message = isReady && await device.next(uptime());
    if (message) publish(topics.data, message);
  }), 200);
