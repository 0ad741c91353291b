// A device with the kit in C on an ESP32, with the Arduino core 3 and PubSubClient 2.8, MQTT 3.1.1.
//
// What was compiled: this sketch with g++, against headers that declare what it uses of the core and
// of PubSubClient. It was never built with an Arduino toolchain, and never run on a board. The kit is
// compiled for Cortex-M, run on an emulated Cortex-M3, and held against the other kits.
//
// Beside it: kit.c, secure_iot_device.h, and credentials.h, which you write: PEM texts as CA_CRT,
// CLIENT_CRT, CLIENT_KEY, the secret as SECRET, and WIFI_NAME, WIFI_PASSWORD.
#include <PubSubClient.h>
#include <Preferences.h>
#include <WiFi.h>
#include <WiFiClientSecure.h>
#include <esp_random.h>

#define SIOT_BUILTIN_SHA256
#include "secure_iot_device.h"
#include "credentials.h"

#define DEVICE_ID "sensor_001"         // as in device.json
#define BROKER_HOST "broker.example"   // a name that is in the broker's certificate
#define BROKER_PORT 8883
#define PLACES 100                     // commands within your backend's longest TTL

static WiFiClientSecure tls;
static PubSubClient client(tls);
static Preferences flash;  // it writes a value whole, or leaves the old one
static siot_known known[PLACES];
static siot_device device;
static char message[1000];

static uint32_t uptime() {  // millis() begins again after 49 days
  static uint32_t last, left, seconds;
  uint32_t now = millis(), passed = now - last + left;
  last = now;
  left = passed % 1000;
  return seconds += passed / 1000;
}

// ---- What outlives a power cut: a queue of one reading, and the commands we have had --------------

static String name_of(size_t place) { return "command" + String(place); }

static int append(void *, const char id[SIOT_ID_SIZE], siot_span payload) {
  static char reading[SIOT_ID_SIZE + 800];
  if (flash.isKey("reading") || payload.size > 800) return -1;
  memcpy(reading, id, SIOT_ID_SIZE);
  memcpy(reading + SIOT_ID_SIZE, payload.bytes, payload.size);
  size_t size = SIOT_ID_SIZE + payload.size;
  return flash.putBytes("reading", reading, size) == size ? 0 : -1;
}

static long front(void *, char id[SIOT_ID_SIZE], char *payload, size_t room) {
  static char reading[SIOT_ID_SIZE + 800];
  if (!flash.isKey("reading")) return 0;
  size_t size = flash.getBytes("reading", reading, sizeof reading);
  if (size <= SIOT_ID_SIZE || size - SIOT_ID_SIZE > room) return -1;
  memcpy(id, reading, SIOT_ID_SIZE);
  memcpy(payload, reading + SIOT_ID_SIZE, size - SIOT_ID_SIZE);
  return size - SIOT_ID_SIZE;
}

static int drop(void *) { return flash.remove("reading") ? 0 : -1; }

static int keep(void *, size_t place, const siot_known *one) {
  return flash.putBytes(name_of(place).c_str(), one, sizeof *one) == sizeof *one ? 0 : -1;
}

static int random_bytes(void *, uint8_t *bytes, size_t size) {
  esp_fill_random(bytes, size);  // true random once the radio is on
  return 0;
}

static const siot_functions functions = {siot_builtin_hmac, random_bytes, append, front, drop, keep};

// ---- Messages -------------------------------------------------------------------------------------

// With QoS 0, as PubSubClient has no other: the kit sends a reading again until it is answered, and
// the gateway a command until it is acknowledged.
static void publish(const char *topic, size_t size) {
  if (!client.publish(topic, (const uint8_t *)message, size)) Serial.println("not sent: too large, or no connection");
}

static void print(const char *what, siot_span text) {
  Serial.print(what);
  Serial.write((const uint8_t *)text.bytes, text.size);
  Serial.println();
}

static void obey(const char *text, size_t size) {
  siot_command_message command;
  siot_result result = siot_command(&device, uptime(), text, size, &command);
  if (result == SIOT_FAILED) ESP.restart();  // rather begin again than act on what cannot be kept
  if (result != SIOT_OK && result != SIOT_REPEATED) return;
  if (result == SIOT_OK) {  // its id is kept, so do it here: it does not happen twice
    print("command: ", command.payload);
    command.state = SIOT_DONE;
  } else if (command.state == SIOT_TAKEN) {  // a restart before we could say "done"
    command.state = SIOT_RECEIVED;
  }
  if (siot_acknowledge(&device, uptime(), command.message_id, command.state, siot_text(""), siot_text(""),
                       message, sizeof message, &size) == SIOT_SEND)
    publish("device/" DEVICE_ID "/ack", size);
}

static void arrived(char *topic, uint8_t *bytes, unsigned int size) {
  const char *text = (const char *)bytes;
  if (strstr(topic, "/command")) return obey(text, size);
  if (!strstr(topic, "/receipt")) return print("answer: ", {bytes, size});
  siot_receipt_message receipt;  // why a reading was refused, and our clock
  siot_result result = siot_receipt(&device, uptime(), text, size, &receipt);
  if (result == SIOT_FAILED) ESP.restart();
  if (result == SIOT_OK || result == SIOT_OTHER) print("receipt: ", receipt.payload);
  else print("receipt, not signed with our secret: ", {bytes, size});
}

static void connect_broker() {
  static uint32_t next_try;
  if (uptime() < next_try) return;
  next_try = uptime() + 5;
  // The last one is clean session: off, so that the broker keeps commands for us.
  if (!client.connect(DEVICE_ID, nullptr, nullptr, nullptr, 0, false, nullptr, false)) {
    Serial.printf("no connection: %d\n", client.state());
    return;
  }
  for (const char *name : {"command", "receipt", "response"})
    client.subscribe((String("device/" DEVICE_ID "/") + name).c_str(), 1);
  siot_connected(&device, uptime());
}

void setup() {
  Serial.begin(115200);
  WiFi.begin(WIFI_NAME, WIFI_PASSWORD);
  while (WiFi.status() != WL_CONNECTED) delay(200);
  flash.begin("device");
  for (size_t place = 0; place < PLACES; place++)
    if (flash.isKey(name_of(place).c_str()))
      flash.getBytes(name_of(place).c_str(), &known[place], sizeof known[place]);
  device.id = DEVICE_ID;
  device.secret = siot_text(SECRET);
  device.functions = &functions;
  device.known = known;
  device.known_places = PLACES;  // no clock: the first receipt brings it
  tls.setCACert(CA_CRT);
  tls.setCertificate(CLIENT_CRT);
  tls.setPrivateKey(CLIENT_KEY);
  client.setServer(BROKER_HOST, BROKER_PORT);
  client.setCallback(arrived);
  client.setKeepAlive(60);
  client.setBufferSize(1200);  // 256 is too few, and what does not fit is dropped without a word
}

void loop() {
  static uint32_t next_reading;
  size_t size;
  if (!client.loop()) connect_broker();
  if (uptime() >= next_reading) {  // while one waits, `append` refuses the next: a queue of one
    next_reading = uptime() + 60;
    siot_enqueue(&device, siot_text("{\"temperature\":22.5,\"humidity\":60}"));
  }
  if (client.connected() && siot_next(&device, uptime(), message, sizeof message, &size) == SIOT_SEND)
    publish("device/" DEVICE_ID "/data", size);
  delay(100);
}
