"""Drives the Python kit by lines on standard input, one answer a line: see kit_driver.ts."""

import binascii
import os
import random
import sys

from secure_iot_device import Device, MemoryStore

device = store = settings = None


def weak_random(size):
    """For the port of MicroPython that has no other."""
    return bytes(random.getrandbits(8) for _ in range(size))


RANDOM = getattr(os, "urandom", weak_random)


def text(word):
    return binascii.unhexlify(word)


def shown(message):
    return binascii.hexlify(message.encode()).decode()


def start():
    global device
    device_id, secret, places, seconds = settings
    device = Device(device_id, text(secret), store, int(places), int(seconds), RANDOM)


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


def answer_line(line):
    """What is printed for a line."""
    words = ["" if word == "-" else word for word in line.split()]
    return answer(words[0], words[1:])


def main():
    for line in sys.stdin:
        if line.strip() == "end":
            break
        print(answer_line(line), flush=True)


if __name__ == "__main__":
    main()
