# apt install python3-paho-mqtt; python3 device.py devices/sensor_001
import hashlib, hmac, json, re, sys, time, uuid
import paho.mqtt.client as mqtt
folder = sys.argv[1]
device = json.load(open(folder + "/device.json"))
device_id, topics = device["device_id"].encode(), device["topics"]
secret = open(folder + "/secret", "rb").read()
READING = b'{"device_id":"%b","timestamp":%b,"message_id":"%b","payload":%b,"signature":"%b"}'
COMMAND = rb'{"timestamp":(\d{10}),"message_id":"(.{36})","payload":(.*),"signature":"(.{64})"}'
def sign(*fields):
    return hmac.new(secret, device_id + b"".join(fields), hashlib.sha256).hexdigest().encode()
def on_connect(client, *_):
    client.subscribe([(topics["response"], 1), (topics["command"], 1)])
    payload = json.dumps({"temperature": 22.5, "humidity": 60}, separators=(",", ":")).encode()
    fields = str(int(time.time())).encode(), str(uuid.uuid4()).encode(), payload
    client.publish(topics["data"], READING % (device_id, *fields, sign(*fields)), qos=1)
def on_message(client, _, message):
    if message.topic == topics["response"]:
        return print("answer:", message.payload.decode(errors="replace"), flush=True)
    command = re.fullmatch(COMMAND, message.payload, re.DOTALL)
    genuine = command and hmac.compare_digest(command[4], sign(command[1], command[2], command[3]))
    if genuine and abs(time.time() - int(command[1])) <= 300:
        print("command:", command[3].decode(), flush=True)
version = [mqtt.CallbackAPIVersion.VERSION2] if hasattr(mqtt, "CallbackAPIVersion") else []
client = mqtt.Client(*version, client_id=device["client_id"], clean_session=False)
client.on_connect, client.on_message = on_connect, on_message
client.tls_set(folder + "/ca.crt", folder + "/client.crt", folder + "/client.key")
client.connect(device["broker"]["host"], device["broker"]["port"])
client.loop_forever()
