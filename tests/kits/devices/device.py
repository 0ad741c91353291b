"""A device with the kit in Python and paho-mqtt: `device.py ORDERS`, where ORDERS is JSON.

It makes readings until there are enough, executes commands by writing each into a file, and keeps
its state in a journal, so that it may be killed at any moment. It runs until it is killed.
"""

import json
import os
import sys
import time

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from secure_iot_device import Device

SESSION_SECONDS = 3600
CONNECT_AGAIN_SECONDS = 0.1

orders = json.loads(sys.argv[1])
with open(orders["folder"] + "/device.json") as file:
    about = json.load(file)
with open(orders["folder"] + "/secret") as file:
    secret = file.read()
topics = about["topics"]


def uptime():
    return int(time.monotonic() * orders["speed"])


def lines_of(path):
    """The complete lines of a file; what a kill has cut off is taken away."""
    if not os.path.exists(path):
        return []
    with open(path, "rb+") as file:
        complete = file.read().rpartition(b"\n")[0] + b"\n"
        file.truncate(0 if complete == b"\n" else len(complete))
    return [line for line in complete.decode().split("\n") if line]


class Journal:
    """Each change as a line of JSON, written before the call returns."""

    def __init__(self, path):
        self._queue, self._commands, self.made = [], {}, 0
        for line in lines_of(path):
            self._apply(*json.loads(line))
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def _apply(self, change, *args):
        if change == "append":
            self._queue.append(tuple(args))
            self.made += 1
        elif change == "drop":
            self._queue.pop(0)
        elif change == "keep":
            self._commands[args[0]] = tuple(args[1])
        else:
            del self._commands[args[0]]

    def _write(self, *change):
        os.write(self._file, (json.dumps(change) + "\n").encode())
        self._apply(*change)

    def append(self, message_id, payload):
        self._write("append", message_id, payload)

    def front(self):
        return self._queue[0] if self._queue else None

    def drop(self):
        self._write("drop")

    def commands(self):
        return dict(self._commands)

    def keep(self, message_id, known):
        self._write("keep", message_id, known)

    def forget(self, message_id):
        self._write("forget", message_id)


executed = [line.split(" ")[0] for line in lines_of(orders["executions"])]
executions = os.open(orders["executions"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
journal = Journal(orders["journal"])
device = Device(about["device_id"], secret, journal)
if orders["ahead"] is not None:
    device.set_clock(uptime(), int(time.time()) + orders["ahead"])


def execute(message_id, payload):
    os.write(executions, ("%s %s\n" % (message_id, payload)).encode())
    executed.append(message_id)


def obey(message):
    command = device.command(uptime(), message)
    if command["result"] not in ("ok", "repeated"):
        return
    message_id = command["message_id"].lower()
    if command["result"] == "ok":
        execute(message_id, command["payload"])
    elif command["acknowledgement"]:
        client.publish(topics["ack"], command["acknowledgement"], qos=1)
        return
    elif message_id not in executed:
        execute(message_id, command["payload"])  # killed after its id was kept
    client.publish(topics["ack"], device.acknowledge(uptime(), message_id, "done"), qos=1)


is_subscribed = False


def on_connect(client, *_):
    client.subscribe([(topics[name], 1) for name in ("command", "receipt", "response")])


def on_subscribe(*_):
    global is_subscribed
    is_subscribed = True
    device.connected(uptime())


def on_disconnect(*_):
    global is_subscribed
    is_subscribed = False


def on_message(_client, _, message):
    if message.topic == topics["command"]:
        obey(message.payload)
    elif message.topic == topics["receipt"]:
        device.receipt(uptime(), message.payload)
    elif orders["mqtt"] == 5:
        device.response(dict(getattr(message.properties, "UserProperty", [])), message.payload)


if orders["mqtt"] == 5:
    client = mqtt.Client(client_id=about["client_id"], protocol=mqtt.MQTTv5)
    properties = mqtt.Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = SESSION_SECONDS
    how = {"clean_start": False, "properties": properties}
else:
    client = mqtt.Client(client_id=about["client_id"], clean_session=False)
    how = {}
client.on_connect, client.on_subscribe = on_connect, on_subscribe
client.on_disconnect, client.on_message = on_disconnect, on_message
client.tls_set(*[orders["folder"] + "/" + name for name in ("ca.crt", "client.crt", "client.key")])


def step():
    """What there is to do on a connection; OSError where it ends, which TLS raises, too."""
    if client.loop(timeout=0.01) != mqtt.MQTT_ERR_SUCCESS:
        raise OSError("the connection has ended")
    message = device.next(uptime()) if is_subscribed else None
    if message:
        client.publish(topics["data"], message, qos=1)


is_connected = False
next_reading = time.monotonic()
while True:
    if journal.made < orders["readings"] and time.monotonic() >= next_reading:
        device.enqueue('{"n":%d}' % journal.made)
        next_reading = time.monotonic() + orders["every_ms"] / 1000
    try:
        if not is_connected:
            client.connect("localhost", orders["port"], keepalive=5, **how)
            is_connected = True
        step()
    except OSError:
        is_connected = is_subscribed = False
        time.sleep(CONNECT_AGAIN_SECONDS)
