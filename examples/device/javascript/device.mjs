// npm install mqtt; node device.mjs devices/sensor_001
import { Buffer } from "node:buffer";
import { createHmac, randomUUID, timingSafeEqual } from "node:crypto";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { argv } from "node:process";
import mqtt from "mqtt";
const read = (name) => readFileSync(`${argv[2]}/${name}`);
const { device_id, broker, topics } = JSON.parse(read("device.json"));
const [secret, ca, cert, key] = ["secret", "ca.crt", "client.crt", "client.key"].map(read);
const kept = `${argv[2]}/commands.json`; // the last commands, each with our last word on it
const words = new Map(existsSync(kept) ? JSON.parse(read("commands.json")) : []);
const sign = (kind, ...fields) =>
  createHmac("sha256", secret).update(kind + device_id + fields.join("")).digest("hex");
const session = { ...broker, protocol: "mqtts", clientId: device_id, clean: false };
const client = mqtt.connect({ ...session, ca, cert, key });
function publish(kind, topic, id, value) {
  const [time, payload] = [Math.floor(Date.now() / 1000), JSON.stringify(value)];
  const message = `{"device_id":"${device_id}","timestamp":${time},"message_id":"${id}",` +
    `"payload":${payload},"signature":"${sign(kind, time, id, payload)}"}`;
  client.publish(topic, message, { qos: 1 });
}
function keep(id, word) {
  words.set(id, word);
  for (const old of [...words.keys()].slice(0, -200)) words.delete(old);
  writeFileSync(`${kept}.new`, JSON.stringify([...words]), { flush: true });
  renameSync(`${kept}.new`, kept);
}
function obey(id, command) {
  if (!words.has(id)) { // a second copy is not done, but acknowledged again
    keep(id, { state: "received" }); // first: a restart in between does not do it twice
    console.log("command:", command);
    keep(id, { state: "done" });
  }
  publish("ack:", topics.ack, id, words.get(id));
}
client.on("error", (error) => console.error(error.message));
client.on("connect", () => {
  client.subscribe([topics.response, topics.command], { qos: 1 });
  publish("", topics.data, randomUUID(), { temperature: 22.5, humidity: 60 });
});
const RE = /^{"timestamp":(\d{10}),"message_id":"(.{36})","payload":(.*),"signature":"(\w{64})"}$/s;
client.on("message", (topic, message) => {
  if (topic === topics.response) return console.log("answer:", message.toString());
  const [, time, id, payload, signature] = RE.exec(message.toString()) ?? [];
  const right = Buffer.from(sign("", time, id, payload));
  const genuine = signature && timingSafeEqual(Buffer.from(signature), right);
  if (genuine && Math.abs(Date.now() / 1000 - time) <= 300) obey(id, payload);
});
