/* A device with the kit in C, libmosquitto and MQTT 5.
 *
 *   apt install gcc libc6-dev libmosquitto-dev libssl-dev
 *   gcc -I $KITS device.c -lmosquitto -lcrypto -o device && ./device devices/sensor_001
 *
 * $KITS has secure_iot_device.h and the folder adapters: kits/c of the gateway's sources.
 */
#include <fcntl.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define SIOT_IMPLEMENTATION
#include "adapters/openssl.h" /* which brings the kit */

/* What outlives a power cut: the reading that nobody has answered, and the commands we have had. */
static struct kept { uint32_t size; char id[SIOT_ID_SIZE], payload[600]; siot_known known[100]; } *kept;
static siot_device device;
static struct mosquitto *client;
static int is_ready;

static void fail(const char *what) { perror(what), exit(1); }
static uint32_t uptime(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint32_t)now.tv_sec;
}

static int written(void) { return msync(kept, sizeof *kept, MS_SYNC); }
static int append(void *context, const char id[SIOT_ID_SIZE], siot_span payload) {
  if (kept->size || payload.size > sizeof kept->payload) return -1; /* a queue of one */
  memcpy(kept->id, id, SIOT_ID_SIZE), memcpy(kept->payload, payload.bytes, payload.size);
  if (written()) return -1;
  kept->size = (uint32_t)payload.size;
  return written();
}
static long front(void *context, char id[SIOT_ID_SIZE], char *payload, size_t room) {
  if (kept->size > room) return -1;
  memcpy(id, kept->id, SIOT_ID_SIZE), memcpy(payload, kept->payload, kept->size);
  return (long)kept->size;
}
static int drop(void *context) { kept->size = 0; return written(); }
static int keep(void *context, size_t place, const siot_known *known) {
  kept->known[place] = *known;
  return written();
}
static const siot_functions functions = {siot_openssl_hmac, siot_openssl_random, append, front, drop, keep};

static void publish(const char *name, const char *message, size_t size) {
  char topic[100];
  snprintf(topic, sizeof topic, "device/%s/%s", device.id, name);
  mosquitto_publish(client, NULL, topic, (int)size, message, 1, false);
}

static void obey(const char *text, size_t size) {
  static const siot_span nothing = {"", 0};
  siot_command_message command;
  siot_result result = siot_command(&device, uptime(), text, size, &command);
  char word[1000];
  if (result == SIOT_FAILED) fail("cannot keep a command's id");
  if (result != SIOT_OK && result != SIOT_REPEATED) return;
  if (result == SIOT_OK) { /* its id is kept, so do it here: it does not happen twice */
    dprintf(1, "command: %.*s\n", (int)command.payload.size, (const char *)command.payload.bytes);
    command.state = SIOT_DONE;
  } else if (command.state == SIOT_TAKEN) { /* a restart before we could say "done" */
    command.state = SIOT_RECEIVED;
  }
  if (siot_acknowledge(&device, uptime(), command.message_id, command.state, nothing, nothing, word, sizeof word, &size) == SIOT_SEND)
    publish("ack", word, size);
}

static siot_result answered(const mosquitto_property *all, siot_span body) {
  siot_properties properties = {{"", 0}, {"", 0}, {"", 0}, {"", 0}};
  const char *names[] = {"message_id", "status", "timestamp", "signature"};
  siot_span *fields[] = {&properties.message_id, &properties.status, &properties.timestamp, &properties.signature};
  char *name, *value, *texts[4] = {NULL};
  for (int next = 0; (all = mosquitto_property_read_string_pair(all, MQTT_PROP_USER_PROPERTY, &name, &value, next)); next = 1) {
    for (int i = 0; i < 4; i++)
      if (!strcmp(name, names[i]) && !texts[i]) *fields[i] = siot_text(texts[i] = strdup(value));
    free(name), free(value);
  }
  siot_result result = siot_response(&device, &properties, body);
  for (int i = 0; i < 4; i++) free(texts[i]);
  return result;
}

static void receive(struct mosquitto *from, void *self, const struct mosquitto_message *got, const mosquitto_property *properties) {
  siot_span text = {got->payload, (size_t)got->payloadlen};
  siot_receipt_message receipt;
  siot_result result;
  if (strstr(got->topic, "/command")) return obey(text.bytes, text.size);
  const char *is = strstr(got->topic, "/receipt") ? "receipt" : "answer";
  if (*is == 'r') result = siot_receipt(&device, uptime(), text.bytes, text.size, &receipt); /* why a reading was refused, and our clock */
  else result = answered(properties, text);
  if (result == SIOT_FAILED) fail("cannot keep what was answered");
  int is_genuine = result == SIOT_OK || result == SIOT_OTHER;
  if (is_genuine && *is == 'r') text = receipt.payload;
  dprintf(1, "%s%s: %.*s\n", is, is_genuine ? "" : ", not signed with our secret", (int)text.size, (const char *)text.bytes);
}

static void connected(struct mosquitto *self, void *context, int reason) {
  char topic[100];
  snprintf(topic, sizeof topic, "device/%s/+", device.id); /* command, receipt, response: it may read no other */
  if (reason) fprintf(stderr, "refused: %s\n", mosquitto_reason_string(reason));
  else mosquitto_subscribe(client, NULL, topic, 1);
}
static void subscribed(struct mosquitto *self, void *context, int id, int count, const int *qos) {
  siot_connected(&device, uptime()), is_ready = 1;
}

/* A member of device.json, as text. */
static char *member(siot_span object, const char *name) {
  siot_span value;
  if (siot_member(object, name, &value)) fprintf(stderr, "device.json has no %s\n", name), exit(1);
  const char *text = value.bytes;
  return *text == '"' ? strndup(text + 1, value.size - 2) : strndup(text, value.size);
}
static char *read_file(const char *name) {
  static char text[4000];
  int file = open(name, O_RDONLY);
  ssize_t size = file < 0 ? -1 : read(file, text, sizeof text - 1);
  if (size < 0) fail(name);
  close(file), text[size] = 0;
  return strdup(text);
}

int main(int argc, char **argv) {
  if (argc != 2 || chdir(argv[1])) return fprintf(stderr, "Usage: device FOLDER, as `device add` made it\n"), 2;
  siot_span about = siot_text(read_file("device.json")), broker = siot_text(member(about, "broker"));
  int error, file = open("kept.bin", O_RDWR | O_CREAT, 0600);
  kept = ftruncate(file, sizeof *kept) ? MAP_FAILED : mmap(NULL, sizeof *kept, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (kept == MAP_FAILED) fail("kept.bin");
  device.id = member(about, "device_id"), device.secret = siot_text(read_file("secret"));
  device.functions = &functions, device.known = kept->known, device.known_places = 100;
  siot_clock(&device, uptime(), (uint32_t)time(NULL)); /* leave it out where there is no clock */
  if (!kept->size && siot_enqueue(&device, siot_text("{\"temperature\":22.5,\"humidity\":60}"))) fail("cannot keep a reading");
  mosquitto_property *session = NULL;
  mosquitto_property_add_int32(&session, MQTT_PROP_SESSION_EXPIRY_INTERVAL, 7 * 86400); /* so long the broker keeps commands */
  mosquitto_lib_init(), client = mosquitto_new(member(about, "client_id"), false, NULL);
  mosquitto_int_option(client, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5);
  mosquitto_connect_callback_set(client, connected), mosquitto_subscribe_callback_set(client, subscribed);
  mosquitto_message_v5_callback_set(client, receive);
  if ((error = mosquitto_tls_set(client, "ca.crt", NULL, "client.crt", "client.key", NULL))) return fprintf(stderr, "%s\n", mosquitto_strerror(error)), 1;
  for (;; sleep(1)) {
    is_ready = 0;
    error = mosquitto_connect_bind_v5(client, member(broker, "host"), atoi(member(broker, "port")), 60, NULL, session);
    while (!error && !(error = mosquitto_loop(client, 200, 1))) {
      char message[1000];
      size_t size;
      if (is_ready && siot_next(&device, uptime(), message, sizeof message, &size) == SIOT_SEND) publish("data", message, size);
    }
    fprintf(stderr, "%s port %s: %s\n", member(broker, "host"), member(broker, "port"), mosquitto_strerror(error));
  }
}
