#!/usr/bin/env python3
"""The reference script, to be measured beside this gateway: one thread, the five checks in their
order, the last 1000 message ids of each device in memory, one POST a message, no retry, nothing on
disk. Needs paho-mqtt and requests.

    reference_script.py HOST PORT CA CERTIFICATE KEY BACKEND_URL DATABASE
"""
import hashlib
import hmac
import json
import sqlite3
import sys
import time
from collections import defaultdict, deque

import paho.mqtt.client as mqtt
import requests

TIMESTAMP_TOLERANCE = 300
REMEMBERED_IDS = 1000

host, port, ca, certificate, key, backend_url, database = sys.argv[1:]
secrets = dict(sqlite3.connect(database).execute("SELECT device_id, shared_secret FROM devices"))
remembered = defaultdict(lambda: deque(maxlen=REMEMBERED_IDS))
session = requests.Session()


def reason_to_reject(message, topic):
    device_id = message["device_id"]
    if abs(time.time() - message["timestamp"]) > TIMESTAMP_TOLERANCE:
        return "Timestamp out of range"
    if message["message_id"] in remembered[device_id]:
        return "Replayed message"
    remembered[device_id].append(message["message_id"])
    if device_id != topic.split("/")[1]:
        return "device_id mismatch with TLS identity"
    if device_id not in secrets:
        return "Unknown device"
    signed = device_id + str(message["timestamp"]) + message["message_id"] + compact(message["payload"])
    signature = hmac.new(secrets[device_id].encode(), signed.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(signature, message["signature"]):
        return "Invalid signature"
    return None


def compact(payload):
    return json.dumps(payload, separators=(",", ":"), ensure_ascii=False)


def on_message(client, _, received):
    message = json.loads(received.payload)
    device_id = message["device_id"]
    reason = reason_to_reject(message, received.topic)
    if reason:
        print(f"Rejected message from {device_id}: {reason}", file=sys.stderr)
        return
    answer = session.post(
        f"{backend_url}/device/{device_id}/data",
        data=compact(message["payload"]).encode(),
        headers={"Content-Type": "application/json"},
    )
    client.publish(f"device/{device_id}/response", answer.content)


def on_subscribe(*_):
    print("ready", file=sys.stderr, flush=True)


version = [mqtt.CallbackAPIVersion.VERSION1] if hasattr(mqtt, "CallbackAPIVersion") else []
client = mqtt.Client(*version, client_id="reference-script")
client.tls_set(ca, certificate, key)
client.on_connect = lambda client, *_: client.subscribe("device/+/data", qos=1)
client.on_message = on_message
client.on_subscribe = on_subscribe
client.connect(host, int(port))
client.loop_forever()
