# apt install python3-paho-mqtt; secure_iot_device.py beside it; python3 device.py devices/sensor_001
import json, os, sys, time
import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from secure_iot_device import Device
folder = sys.argv[1]
about = json.load(open(folder + "/device.json"))
topics = about["topics"]
class Store:  # what outlives a power cut: readings nobody has answered, commands we have had
    path = folder + "/kept.json"
    def __init__(self):
        kept = json.load(open(self.path)) if os.path.exists(self.path) else [[], {}]
        self.readings, self.known = kept
    def write(self):
        try:
            with open(self.path + ".new", "w") as file:
                json.dump([self.readings, self.known], file), file.flush(), os.fsync(file.fileno())
            os.replace(self.path + ".new", self.path)
        except OSError as error:
            sys.exit(f"cannot keep: {error}")  # rather end than act on what cannot be kept
    def append(self, message_id, payload): self.readings.append([message_id, payload]), self.write()
    def front(self): return self.readings[0] if self.readings else None
    def drop(self): self.readings.pop(0), self.write()
    def commands(self): return dict(self.known)
    def keep(self, message_id, known): self.known[message_id] = known; self.write()
    def forget(self, message_id): del self.known[message_id]; self.write()
def uptime(): return int(time.monotonic())
def obey(message):
    command = device.command(uptime(), message)
    word = command.get("acknowledgement")  # of a copy: what we said of it before
    if command["result"] == "ok":  # its id is kept, so do it here: it does not happen twice
        print("command:", command["payload"], flush=True)
        word = device.acknowledge(uptime(), command["message_id"], "done")
    elif command["result"] == "repeated" and not word:  # a restart before we could say "done"
        word = device.acknowledge(uptime(), command["message_id"], "received")
    if word: client.publish(topics["ack"], word, qos=1)
def on_message(client, _, message):
    if message.topic == topics["command"]: return obey(message.payload)
    text = message.payload.decode(errors="replace")
    if message.topic == topics["response"]:
        properties = dict(getattr(message.properties, "UserProperty", []))
        genuine = device.response(properties, message.payload)["result"] in ("ok", "other")
        return print("answer:" if genuine else "answer, not signed with our secret:", text, flush=True)
    receipt = device.receipt(uptime(), message.payload)  # why a reading was refused, and our clock
    genuine = receipt["result"] in ("ok", "other")
    if genuine: print("receipt:", receipt["payload"], flush=True)
    else: print("receipt, not signed with our secret:", text, flush=True)
def on_connect(client, _, flags, reason, properties):
    if reason.value: return print("connection refused:", reason, file=sys.stderr)
    client.subscribe([(topics[name], 1) for name in ("command", "receipt", "response")])
def on_subscribe(client, *_): device.connected(uptime()); client.is_ready = True
store = Store()
device = Device(about["device_id"], open(folder + "/secret").read(), store)
device.set_clock(uptime(), int(time.time()))  # leave it out where there is no clock
if not store.front(): device.enqueue('{"temperature":22.5,"humidity":60}')  # as often as you like
version = [mqtt.CallbackAPIVersion.VERSION2] if hasattr(mqtt, "CallbackAPIVersion") else []
client = mqtt.Client(*version, client_id=about["client_id"], protocol=mqtt.MQTTv5)
client.on_connect, client.on_subscribe, client.on_message = on_connect, on_subscribe, on_message
client.tls_set(*[f"{folder}/{name}" for name in ("ca.crt", "client.crt", "client.key")])
session = mqtt.Properties(PacketTypes.CONNECT)
session.SessionExpiryInterval = 7 * 86400  # so long the broker keeps commands for us
while True:
    try:
        client.is_ready = False
        client.connect(**about["broker"], clean_start=False, properties=session)
        while (result := client.loop(timeout=0.2)) == mqtt.MQTT_ERR_SUCCESS:
            message = device.next(uptime()) if client.is_ready else None
            if message: client.publish(topics["data"], message, qos=1)
        print("the connection has ended:", mqtt.error_string(result), file=sys.stderr)
    except OSError as error:
        print("no connection:", error, file=sys.stderr)
    time.sleep(1)
