"""Drives the Python kit by lines on standard input, one answer a line: see kit_driver.ts."""

import sys

from secure_iot_device import Device, MemoryStore

device = store = settings = None


def text(word):
    return bytes(int(word[at:at + 2], 16) for at in range(0, len(word), 2))


def shown(message):
    data = message.encode()
    return "".join("%02x" % byte for byte in data)


def start():
    global device
    device_id, secret, places, seconds = settings
    device = Device(device_id, text(secret), store, int(places), int(seconds))


def answer(verb, words):
    """What is printed for one line."""
    global store, settings
    if verb == "device":
        store, settings = MemoryStore(), words
        start()
        return "ok"
    if verb == "restart":
        start()
        return "ok"
    if verb == "clock":
        device.set_clock(int(words[0]), int(words[1]))
        return "ok"
    if verb == "connected":
        device.connected(int(words[0]))
        return "ok"
    if verb == "enqueue":
        try:
            return "ok " + device.enqueue(text(words[0]).decode())
        except ValueError:
            return "malformed"
    if verb == "next":
        message = device.next(int(words[0]))
        return "send " + shown(message) if message else "idle"
    if verb == "receipt":
        receipt = device.receipt(int(words[0]), text(words[1]))
        return "ok " + receipt["fate"] if receipt["result"] == "ok" else receipt["result"]
    if verb == "response":
        names = ("message_id", "status", "timestamp", "signature")
        return device.response(dict(zip(names, words)), text(words[4]))["result"]
    if verb == "command":
        command = device.command(int(words[0]), text(words[1]))
        if command["result"] == "ok":
            return "ok " + shown(command["payload"])
        if command["result"] == "repeated":
            return "repeated " + (command["state"] or "-")
        return command["result"]
    if verb == "acknowledge":
        result, reason = [text(word).decode() or None for word in words[3:]]
        try:
            return "send " + shown(device.acknowledge(int(words[0]), words[1], words[2], result, reason))
        except ValueError:
            return "malformed"
    return "unknown"


while True:
    line = sys.stdin.readline()
    words = ["" if word == "-" else word for word in line.split()]
    if not words or words[0] == "end":
        break
    print(answer(words[0], words[1:]))
    if hasattr(sys.stdout, "flush"):
        sys.stdout.flush()
