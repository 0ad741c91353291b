// npm install mqtt; node device.mjs devices/sensor_001
import { Buffer } from "node:buffer";
import { createHmac, randomUUID, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";
import { argv } from "node:process";
import mqtt from "mqtt";
const read = (name) => readFileSync(`${argv[2]}/${name}`);
const { device_id, broker, topics } = JSON.parse(read("device.json"));
const [secret, ca, cert, key] = ["secret", "ca.crt", "client.crt", "client.key"].map(read);
const sign = (...fields) =>
  Buffer.from(createHmac("sha256", secret).update(device_id + fields.join("")).digest("hex"));
const session = { ...broker, protocol: "mqtts", clientId: device_id, clean: false };
const client = mqtt.connect({ ...session, ca, cert, key });
client.on("error", (error) => console.error(error.message));
client.on("connect", () => {
  client.subscribe([topics.response, topics.command], { qos: 1 });
  const [time, id] = [Math.floor(Date.now() / 1000), randomUUID()];
  const payload = JSON.stringify({ temperature: 22.5, humidity: 60 });
  const reading = `{"device_id":"${device_id}","timestamp":${time},"message_id":"${id}",` +
    `"payload":${payload},"signature":"${sign(time, id, payload)}"}`;
  client.publish(topics.data, reading, { qos: 1 });
});
const RE = /^{"timestamp":(\d{10}),"message_id":"(.{36})","payload":(.*),"signature":"(\w{64})"}$/s;
client.on("message", (topic, message) => {
  if (topic === topics.response) return console.log("answer:", message.toString());
  const [, time, id, payload, signature] = RE.exec(message.toString()) ?? [];
  const genuine = signature && timingSafeEqual(Buffer.from(signature), sign(time, id, payload));
  if (genuine && Math.abs(Date.now() / 1000 - time) <= 300) console.log("command:", payload);
});
