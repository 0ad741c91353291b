# A device in MicroPython, MQTT 3.1.1. On the board: `mpremote mip install umqtt.simple`, main.py,
# secure_iot_device.py, and the device's folder as /device; boot.py connects the network.
#
# What is tested: all of this in MicroPython's port to WebAssembly, against a real gateway, but for two
# modules that it lacks: `ssl`, and `umqtt.simple`, in whose place another MQTT client speaks TLS. It
# was not run on a board. A port without PEM wants certificates and key as DER (openssl -outform der).
import json
import os
import time

from secure_iot_device import Device
from umqtt.simple import MQTTClient

FOLDER = "/device"
EPOCH = 946684800 if time.gmtime(0)[0] == 2000 else 0  # some ports count from the year 2000
PING_EVERY = 30  # seconds; umqtt.simple keeps no connection alive by itself


class Store:
    """What outlives a power cut: readings nobody has answered, commands we have had."""

    path = FOLDER + "/kept.json"

    def __init__(self):
        try:
            with open(self.path) as file:
                self.readings, self.known = json.load(file)
        except OSError:
            self.readings, self.known = [], {}

    def write(self):
        try:
            with open(self.path + ".new", "w") as file:
                json.dump([self.readings, self.known], file)
            os.rename(self.path + ".new", self.path)
        except OSError as error:
            print("cannot keep:", error)
            raise SystemExit  # rather end than act on what cannot be kept

    def append(self, message_id, payload):
        self.readings.append([message_id, payload])
        self.write()

    def front(self):
        return self.readings[0] if self.readings else None

    def drop(self):
        self.readings.pop(0)
        self.write()

    def commands(self):
        return dict(self.known)

    def keep(self, message_id, known):
        self.known[message_id] = known
        self.write()

    def forget(self, message_id):
        del self.known[message_id]
        self.write()


ticks, passed_ms = time.ticks_ms(), 0


def uptime():
    """Seconds since the start; the ticks themselves begin again after some days."""
    global ticks, passed_ms
    now = time.ticks_ms()
    passed_ms += time.ticks_diff(now, ticks)
    ticks = now
    return passed_ms // 1000


def read(name):
    with open(FOLDER + "/" + name) as file:
        return file.read()


def tls():
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cafile=FOLDER + "/ca.crt")
    context.load_cert_chain(FOLDER + "/client.crt", FOLDER + "/client.key")
    return context


def obey(message):
    command = device.command(uptime(), message)
    word = command.get("acknowledgement")  # of a copy: what we said of it before
    if command["result"] == "ok":  # its id is kept, so do it here: it does not happen twice
        print("command:", command["payload"])
        word = device.acknowledge(uptime(), command["message_id"], "done")
    elif command["result"] == "repeated" and not word:  # a restart before we could say "done"
        word = device.acknowledge(uptime(), command["message_id"], "received")
    if word:
        client.publish(topics["ack"], word, qos=1)


def on_message(topic, message):
    if topic.decode() == topics["command"]:
        return obey(message)
    if topic.decode() == topics["response"]:
        return print("answer:", message.decode())
    receipt = device.receipt(uptime(), message)  # why a reading was refused, and our clock
    if receipt["result"] in ("ok", "other"):
        print("receipt:", receipt["payload"])
    else:
        print("receipt, not signed with our secret:", message.decode())


about = json.loads(read("device.json"))
topics, broker = about["topics"], about["broker"]
store = Store()
device = Device(about["device_id"], read("secret"), store, known_most=100)
device.set_clock(uptime(), time.time() + EPOCH)  # leave it out where there is no clock
if not store.front():
    device.enqueue('{"temperature":22.5,"humidity":60}')  # as often as you like
client = MQTTClient(about["client_id"], broker["host"], broker["port"], keepalive=60, ssl=tls())
client.set_callback(on_message)
pinged = 0


def connect():
    client.connect(clean_session=False)  # the broker keeps commands for us
    for name in ("command", "receipt", "response"):
        client.subscribe(topics[name], qos=1)
    device.connected(uptime())


def step():
    global pinged
    client.check_msg()
    message = device.next(uptime())
    if message:
        client.publish(topics["data"], message, qos=1)
    if uptime() - pinged >= PING_EVERY:
        pinged = uptime()
        client.ping()


def run():
    while True:
        try:
            connect()
            while True:
                step()
                time.sleep_ms(200)
        except OSError as error:
            print("no connection:", error)
            time.sleep(5)


if __name__ == "__main__":
    run()
