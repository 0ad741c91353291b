# apt install python3-paho-mqtt; python3 device.py devices/sensor_001
import hashlib, hmac, json, os, re, sys, time, uuid
import paho.mqtt.client as mqtt
folder = sys.argv[1]
device = json.load(open(folder + "/device.json"))
device_id, topics = device["device_id"].encode(), device["topics"]
secret = open(folder + "/secret", "rb").read()
kept = folder + "/commands.json"  # the last commands, each with our last word on it
words = json.load(open(kept)) if os.path.exists(kept) else {}
MESSAGE = b'{"device_id":"%b","timestamp":%b,"message_id":"%b","payload":%b,"signature":"%b"}'
COMMAND = rb'{"timestamp":(\d{10}),"message_id":"(.{36})","payload":(.*),"signature":"(.{64})"}'
def sign(kind, *fields):
    text = kind + device_id + b"".join(fields)
    return hmac.new(secret, text, hashlib.sha256).hexdigest().encode()
def publish(kind, topic, message_id, payload):
    payload = json.dumps(payload, separators=(",", ":")).encode()
    fields = str(int(time.time())).encode(), message_id.encode(), payload
    client.publish(topics[topic], MESSAGE % (device_id, *fields, sign(kind, *fields)), qos=1)
def keep(message_id, word):
    words[message_id] = word
    for old in list(words)[:-200]:
        del words[old]
    with open(kept + ".new", "w") as file:
        json.dump(words, file), file.flush(), os.fsync(file.fileno())
    os.replace(kept + ".new", kept)
def obey(message_id, command):
    if message_id not in words:  # a second copy is not done, but acknowledged again
        keep(message_id, {"state": "received"})  # first: a restart in between does not do it twice
        print("command:", command, flush=True)
        keep(message_id, {"state": "done"})
    publish(b"ack:", "ack", message_id, words[message_id])
def on_connect(client, *_):
    client.subscribe([(topics["response"], 1), (topics["command"], 1)])
    publish(b"", "data", str(uuid.uuid4()), {"temperature": 22.5, "humidity": 60})
def on_message(client, _, message):
    if message.topic == topics["response"]:
        return print("answer:", message.payload.decode(errors="replace"), flush=True)
    command = re.fullmatch(COMMAND, message.payload, re.DOTALL)
    genuine = command and hmac.compare_digest(command[4], sign(b"", *command.groups()[:3]))
    if genuine and abs(time.time() - int(command[1])) <= 300:
        obey(command[2].decode(), command[3].decode())
version = [mqtt.CallbackAPIVersion.VERSION2] if hasattr(mqtt, "CallbackAPIVersion") else []
client = mqtt.Client(*version, client_id=device["client_id"], clean_session=False)
client.on_connect, client.on_message = on_connect, on_message
client.tls_set(folder + "/ca.crt", folder + "/client.crt", folder + "/client.key")
client.connect(device["broker"]["host"], device["broker"]["port"])
client.loop_forever()
