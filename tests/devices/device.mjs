// npm install mqtt; node device.mjs devices/sensor_001
import { Buffer } from "node:buffer";
import { createHmac, randomUUID, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";
import { argv } from "node:process";
import mqtt from "mqtt";
const read = (name) => readFileSync(`${argv[2]}/${name}`);
const { device_id, broker, topics } = JSON.parse(read("device.json"));
const keys = { ca: read("ca.crt"), cert: read("client.crt"), key: read("client.key") };
const sign = (...fields) =>
  createHmac("sha256", read("secret")).update(device_id + fields.join("")).digest("hex");
const url = `mqtts://${broker.host}:${broker.port}`;
const client = mqtt.connect(url, { ...keys, clientId: device_id, clean: false });
client.on("error", (error) => console.error(error.message));
client.on("connect", () => {
  client.subscribe([topics.response, topics.command], { qos: 1 });
  const fields = [
    Math.floor(Date.now() / 1000),
    randomUUID(),
    '{"temperature":22.5,"humidity":60}',
  ];
  const reading =
    `{"device_id":"${device_id}","timestamp":${fields[0]},"message_id":"${fields[1]}",` +
    `"payload":${fields[2]},"signature":"${sign(...fields)}"}`;
  client.publish(topics.data, reading, { qos: 1 });
});
const COMMAND =
  /^{"timestamp":(\d{10}),"message_id":"(.{36})","payload":(.*),"signature":"(\w{64})"}$/s;
client.on("message", (topic, message) => {
  if (topic === topics.response) return console.log("answer:", message.toString());
  const [, timestamp, messageId, payload, signature] = COMMAND.exec(message) ?? [];
  const genuine = signature &&
    timingSafeEqual(...[signature, sign(timestamp, messageId, payload)].map(Buffer.from));
  if (genuine && Math.abs(Date.now() / 1000 - timestamp) <= 300) console.log("command:", payload);
});
