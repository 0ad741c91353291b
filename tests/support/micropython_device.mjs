/**
 * Runs the device of examples/device/micropython: `micropython_device.mjs MICROPYTHON MQTT ROOT
 * DEVICE`, the first two folders `node_modules` of npm's packages.
 *
 * MicroPython's port to WebAssembly has no sockets, no TLS and no random bytes: mqtt.js speaks to
 * the broker in the place of `umqtt.simple`, and Node gives the bytes. All else is the example.
 */

import { randomBytes } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import process from "node:process";
import { pathToFileURL } from "node:url";

const STEP_MS = 50;
const UMQTT = `
import bridge
from binascii import unhexlify

class MQTTClient:
    def __init__(self, client_id, server, port=0, keepalive=0, ssl=None):
        self._client_id = client_id

    def set_callback(self, callback):
        self._callback = callback

    def connect(self, clean_session=True):
        assert not clean_session

    def subscribe(self, topic, qos=0):
        bridge.subscribe(topic, qos)

    def publish(self, topic, message, retain=False, qos=0):
        bridge.publish(topic, message, qos)

    def check_msg(self):
        topic, _, digits = bridge.take().partition(" ")
        if topic:
            self._callback(topic.encode(), unhexlify(digits))

    def ping(self):
        pass
`;
const SSL = `
PROTOCOL_TLS_CLIENT, CERT_REQUIRED = 0, 2

class SSLContext:
    def __init__(self, protocol):
        pass

    def load_verify_locations(self, cafile):
        open(cafile).close()

    def load_cert_chain(self, certificate, key):
        open(certificate).close(), open(key).close()
`;
const RANDOM = `
import os, bridge, sys
from binascii import unhexlify
os.urandom = lambda size: unhexlify(bridge.random(size))
sys.path.append("/")
import main
main.connect()
`;

const [, , microPython, mqttFolder, root, folder] = process.argv;
const read = (name) => readFileSync(`${folder}/${name}`);
const { client_id: clientId, broker } = JSON.parse(read("device.json"));
const mqtt = createRequire(`${mqttFolder}/`)("mqtt");
const arrived = [];
const client = mqtt.connect({
  ...{ ...broker, protocol: "mqtts", clientId, clean: false, resubscribe: false },
  ...{ ca: read("ca.crt"), cert: read("client.crt"), key: read("client.key") },
});
client.on("error", (error) => console.error(error.message || error.code)); // it connects again
client.on("message", (topic, message) => arrived.push(`${topic} ${message.toString("hex")}`));
await new Promise((resolve) => client.once("connect", resolve));

const program = `${microPython}/@micropython/micropython-webassembly-pyscript/micropython.mjs`;
const { loadMicroPython } = await import(pathToFileURL(program).href);
const python = await loadMicroPython();
python.registerJsModule("bridge", {
  subscribe: (topic, qos) => client.subscribe(topic, { qos }),
  publish: (topic, message, qos) => client.publish(topic, message, { qos }),
  take: () => arrived.shift() ?? "",
  random: (size) => randomBytes(size).toString("hex"),
});
python.FS.mkdir("/device");
for (const name of readdirSync(folder)) python.FS.writeFile(`/device/${name}`, read(name));
python.FS.mkdir("/umqtt");
python.FS.writeFile("/umqtt/simple.py", UMQTT);
python.FS.writeFile("/ssl.py", SSL);
const kit = readFileSync(`${root}/kits/python/secure_iot_device.py`);
python.FS.writeFile("/secure_iot_device.py", kit);
python.FS.writeFile("/main.py", readFileSync(`${root}/examples/device/micropython/main.py`));
python.runPython(RANDOM);

/** Its file system is in memory: what it keeps is written out before anything else happens. */
function keep() {
  if (!python.FS.analyzePath("/device/kept.json").exists) return;
  const kept = python.FS.readFile("/device/kept.json");
  if (!existsSync(`${folder}/kept.json`) || !read("kept.json").equals(kept)) {
    writeFileSync(`${folder}/kept.json`, kept);
  }
}

keep();
setInterval(() => {
  python.runPython("main.step()");
  keep();
}, STEP_MS);
