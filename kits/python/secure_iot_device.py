"""SecureIoTGateway: the device's side of the protocol, version 1.

SPDX-License-Identifier: MIT

For Python 3.9 and newer, and for MicroPython; it imports what both have. What it does: signs
readings and keeps them until the gateway has them, opens commands, receipts and responses,
acknowledges commands, takes the clock from a receipt. What it leaves to you: MQTT, TLS and storage.
It knows no time but the `uptime` you give it: seconds since the start, from a clock that never
steps, as int(time.monotonic()).
"""

import binascii
import hashlib
import json
import os

TOLERANCE = 300
EARLIEST = 1000000000  # the first time of ten digits: a number in JSON does not begin with 0
FIRST_WAIT = 30
LONGEST_WAIT = 900
STUCK_WAIT = 3600
CLOCK_PAUSE = 60
SEVEN_DAYS = 604800
NIL_ID = "00000000-0000-0000-0000-000000000000"
# What a device says of a command, in the only order in which it may.
STATES = ("received", "running", "done", "refused", "failed")
HEX = b"0123456789abcdefABCDEF"


def hmac_sha256(key, message):
    """HMAC-SHA256 (RFC 2104), which MicroPython does not bring."""
    if len(key) > 64:
        key = hashlib.sha256(key).digest()
    key = key + bytes(64 - len(key))
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in key) + message).digest()
    return hashlib.sha256(bytes(byte ^ 0x5C for byte in key) + inner).digest()


def _hex(data):
    return binascii.hexlify(data).decode()


def _same(one, other):
    """Compares in constant time."""
    differ = len(one) ^ len(other)
    for left, right in zip(one, other):
        differ |= left ^ right
    return differ == 0


def _is_hex(data):
    return all(byte in HEX for byte in data)


def _is_digits(data):
    return all(48 <= byte <= 57 for byte in data)


def _is_id(data):
    parts = data.split(b"-")
    return [len(part) for part in parts] == [8, 4, 4, 4, 12] and all(_is_hex(part) for part in parts)


def _is_json(text):
    """Whether `text` is JSON; NaN and Infinity, which Python reads and writes, are not."""
    try:
        return _is_finite(json.loads(text))
    except ValueError:
        return False


def _is_finite(value):
    if isinstance(value, float):
        return value - value == 0
    if isinstance(value, dict):
        return all(_is_finite(one) for one in value.values())
    return not isinstance(value, list) or all(_is_finite(one) for one in value)


def _text(message):
    return message.encode() if isinstance(message, str) else bytes(message)


class MemoryStore:
    """What is kept over a restart. This one keeps it in memory: for a first try, as an example."""

    def __init__(self):
        self._readings = []
        self._commands = {}

    def append(self, message_id, payload):
        """Adds a reading to the queue."""
        self._readings.append((message_id, payload))

    def front(self):
        """The oldest reading, (message_id, payload), or None."""
        return self._readings[0] if self._readings else None

    def drop(self):
        """Forgets the oldest reading."""
        self._readings.pop(0)

    def commands(self):
        """The remembered commands, {message_id: (timestamp, state, acknowledgement)}."""
        return dict(self._commands)

    def keep(self, message_id, known):
        """Keeps what is known of one command, before it is acted on."""
        self._commands[message_id] = known

    def forget(self, message_id):
        """Forgets a command that cannot come again."""
        del self._commands[message_id]


class Device:
    """A device: its id, its secret and what it keeps. All times are whole seconds.

    `known_seconds` is the longest TTL that your backend gives a command, and no more commands than
    `known_most` come within it. `random` gives so many bytes fit for cryptography; without it
    os.urandom does, which some ports of MicroPython lack.
    """

    def __init__(self, device_id, secret, store, known_most=1000, known_seconds=SEVEN_DAYS,
                 random=None):
        self.id = device_id
        self._secret = _text(secret)
        self._store = store
        self._known_most = known_most
        self._known_seconds = known_seconds
        self._random = random or os.urandom
        self._known = store.commands()
        self._clock_at_start = None  # Unix time when uptime was 0
        self._newest = 0  # newest time the gateway signed: the clock is never set back behind it
        self._clock_set_at = None
        self._in_flight = None  # message_id
        self._signed_at = None
        self._due = 0
        self._tries = 0

    def set_clock(self, uptime, now):
        """Sets the clock from a source you trust: Unix seconds now."""
        self._clock_at_start = now - uptime

    def now(self, uptime):
        """Unix seconds now. While no clock is known, and before 2001: EARLIEST."""
        return max((self._clock_at_start or 0) + uptime, EARLIEST)

    def enqueue(self, payload):
        """Puts a reading into the queue: JSON text, as it is to reach the backend. Returns its id."""
        if not _is_json(payload):
            raise ValueError("the payload is not JSON text")
        random = bytearray(self._random(10))
        random[6] = 0x40 | (random[6] & 0x0F)  # version 4 (RFC 9562)
        random[8] = 0x80 | (random[8] & 0x3F)  # variant 1
        digits = _hex(random) + self._id_code(random)
        message_id = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
        self._store.append(message_id, payload)
        return message_id

    def connected(self, uptime):
        """Call it after each connect, once subscribed: what is in flight goes again."""
        if self._due - uptime < STUCK_WAIT // 2:
            self._due = uptime

    def next(self, uptime):
        """The next message to publish on device/{id}/data with QoS 1, or None.

        Call it each second while connected: the reading goes again until a receipt or a response
        ends it.
        """
        if self._in_flight and uptime < self._due:
            return None
        reading = self._store.front()
        if reading is None:
            return None
        now = self.now(uptime)
        message_id, payload = reading
        if self._in_flight != message_id:
            self._in_flight, self._signed_at, self._tries = message_id, now, 0
        elif self._signed_at is None or abs(now - self._signed_at) > TOLERANCE - FIRST_WAIT:
            self._signed_at = now  # the same bytes again while they are in range; then signed again
        self._wait(uptime)
        return self._signed("", self._signed_at, message_id, payload)

    def receipt(self, uptime, message):
        """Takes what came on device/{id}/receipt. Returns a dict with "result".

        With "ok", "fate" says what became of the message in flight: "ended", "again" (by itself:
        the clock was put right, or it goes too fast) or "stuck" (goes again in an hour: secret, id
        or payload is wrong; say so). Otherwise "other", "forged" or "malformed".
        """
        receipt = self._open("receipt:", message)
        if receipt["result"] != "ok":
            return receipt
        about = receipt["message_id"].lower()
        if self._in_flight is None or about not in (self._in_flight, NIL_ID):
            receipt["result"] = "other"
            return receipt
        receipt["fate"] = self._follow(uptime, receipt)
        self._newest = max(self._newest, receipt["timestamp"])
        if receipt["fate"] == "ended":
            self._settle()
        return receipt

    def response(self, properties, body):
        """Takes what came on device/{id}/response by MQTT 5: its User Properties as a dict.

        "result" is "ok" when the reading is delivered and left the queue. By MQTT 3.1.1 nothing
        pairs a response with its reading: do not call this, and let the gateway's operator set
        receipts.send = "all".
        """
        fields = [_text(properties.get(name, "")) for name in
                  ("message_id", "timestamp", "status", "signature")]
        message_id, timestamp, status, signature = fields
        if not (_is_id(message_id) and len(timestamp) == 10 and len(status) == 3
                and _is_digits(timestamp + status) and len(signature) == 64 and _is_hex(signature)):
            return {"result": "malformed"}
        head = b"response:" + self.id.encode() + timestamp + message_id + status
        if not self._verifies(head + _text(body), signature):
            return {"result": "forged"}
        self._newest = max(self._newest, int(timestamp))
        if self._in_flight != message_id.decode().lower():
            return {"result": "other"}
        self._settle()
        return {"result": "ok"}

    def command(self, uptime, message):
        """Opens what came on device/{id}/command. Returns a dict with "result".

        With "ok" its id is kept: act on "payload", JSON text, now and once. With "repeated" do
        nothing, and publish "acknowledgement" again, if there is one. Drop all others: "forged",
        "malformed", "stale", "no_clock", "full".
        """
        command = self._open("", message)
        if command["result"] != "ok":
            return command
        message_id, timestamp = command["message_id"].lower(), command["timestamp"]
        digits = message_id.replace("-", "")
        if self._id_code(binascii.unhexlify(digits[:20])) == digits[20:]:
            return {"result": "forged"}  # our own reading, sent back
        known = self._known.get(message_id)
        if known:
            before, state, acknowledgement = known
            self._keep(message_id, (max(before, timestamp), state, acknowledgement))
            command["result"], command["state"] = "repeated", state
            command["acknowledgement"] = None
            if acknowledgement:
                command["acknowledgement"] = self._signed(
                    "ack:", self.now(uptime), message_id, acknowledgement)
            return command
        if self._clock_at_start is None:
            return {"result": "no_clock"}
        now = self.now(uptime)
        if abs(now - timestamp) > TOLERANCE:
            return {"result": "stale"}
        if not self._make_room(now):
            return {"result": "full"}
        self._keep(message_id, (timestamp, "", ""))
        return command

    def acknowledge(self, uptime, message_id, state, result=None, reason=None):
        """An acknowledgement for device/{id}/ack, QoS 1.

        `state` is "received", "running", "done", "failed" or "refused"; `result` is JSON text.
        """
        if state not in STATES or not _is_id(_text(message_id)):
            raise ValueError("no such state or message id")
        if result is not None and not _is_json(result):
            raise ValueError("the result is not JSON text")
        payload = '{"state":"%s"' % state
        if result is not None:
            payload += ',"result":' + result
        if reason is not None:
            payload += ',"reason":' + json.dumps(reason)
        payload += "}"
        known = self._known.get(message_id.lower())
        if known and (not known[1] or STATES.index(known[1]) < STATES.index(state)):
            self._keep(message_id.lower(), (known[0], state, payload))
        return self._signed("ack:", self.now(uptime), message_id, payload)

    def _wait(self, uptime):
        self._due = uptime + min(FIRST_WAIT << self._tries, LONGEST_WAIT)
        self._tries = min(self._tries + 1, 5)

    def _settle(self):
        self._store.drop()
        self._in_flight = None

    def _follow(self, uptime, receipt):
        """What a receipt means for the message in flight."""
        payload = json.loads(receipt["payload"])
        code = payload.get("code")
        if payload.get("result") in ("delivered", "dead") or code == "replayed":
            return "ended"
        if code == "timestamp_out_of_range":
            self._take_clock(uptime, receipt["timestamp"])
            return "again"
        if code == "rate_limited":
            self._wait(uptime)
            return "again"
        self._due = uptime + STUCK_WAIT
        return "stuck"

    def _take_clock(self, uptime, timestamp):
        """The clock from a receipt about the message in flight: its id was new, so this is, too."""
        if timestamp < self._newest:
            return
        if self._clock_set_at is not None and uptime - self._clock_set_at < CLOCK_PAUSE:
            self._due = self._clock_set_at + CLOCK_PAUSE
        else:
            self._clock_set_at = self._due = uptime
            self.set_clock(uptime, timestamp)
        self._signed_at = None  # signed again

    def _keep(self, message_id, known):
        self._store.keep(message_id, known)
        self._known[message_id] = known

    def _make_room(self, now):
        """Room for another command: the oldest goes if it cannot come again."""
        if len(self._known) < self._known_most:
            return True
        oldest = min(self._known, key=lambda one: self._known[one][0])
        if now - self._known[oldest][0] <= self._known_seconds + TOLERANCE:
            return False
        self._store.forget(oldest)
        del self._known[oldest]
        return True

    def _open(self, kind, message):
        """Takes a command or a receipt apart, which the gateway writes in exactly this form."""
        text = _text(message)
        head, middle = b'{"timestamp":', b',"message_id":"'
        before_payload, before_signature, end = b'","payload":', b',"signature":"', b'"}'
        tail = len(before_signature) + 64 + len(end)
        timestamp, message_id = text[13:23], text[38:74]
        payload, signature = text[86:-tail], text[-tail + len(before_signature):-len(end)]
        if not (len(text) > 86 + tail and text[:13] == head and text[23:38] == middle
                and text[74:86] == before_payload and text[-tail:][:14] == before_signature
                and text[-2:] == end and _is_digits(timestamp) and _is_id(message_id)
                and _is_hex(signature)):
            return {"result": "malformed"}
        signed = kind.encode() + self.id.encode() + timestamp + message_id + payload
        if not self._verifies(signed, signature):
            return {"result": "forged"}
        return {"result": "ok", "message_id": message_id.decode(), "timestamp": int(timestamp),
                "payload": payload.decode()}

    def _signed(self, kind, seconds, message_id, payload):
        timestamp = "%d" % seconds
        signed = kind + self.id + timestamp + message_id + payload
        signature = _hex(hmac_sha256(self._secret, signed.encode()))
        return ('{"device_id":"%s","timestamp":%s,"message_id":"%s","payload":%s,"signature":"%s"}'
                % (self.id, timestamp, message_id, payload, signature))

    def _verifies(self, signed, signature):
        return _same(hmac_sha256(self._secret, signed), binascii.unhexlify(signature))

    def _id_code(self, random):
        """An id of ours ends in a code over its random part, so that it is known without a memory.

        A reading that somebody sends back on the topic of commands is signed like one.
        """
        return _hex(hmac_sha256(self._secret, b"id:" + bytes(random))[:6])
