/* A device with the kit in C and libmosquitto: `device ORDERS`, where ORDERS is JSON.
 *
 * It makes readings until there are enough, executes commands by writing each into a file, and keeps
 * its state in a journal, so that it may be killed at any moment. It runs until it is killed.
 */
#include <fcntl.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SIOT_IMPLEMENTATION
#include "adapters/openssl.h"

#define READINGS_MAX 2000
#define PAYLOAD_MAX 64
#define COMMANDS_MAX 300
#define SESSION_SECONDS 3600

static siot_span orders;
static siot_device device;
static siot_known known[COMMANDS_MAX];
static struct mosquitto *client;
static int journal, executions, mqtt, is_subscribed;

/* The queue: from `first` to `made`. */
static struct { char id[SIOT_ID_SIZE + 1], payload[PAYLOAD_MAX]; } readings[READINGS_MAX];
static size_t first, made;

/* Ids of the commands that were executed. */
static char executed[COMMANDS_MAX][SIOT_ID_SIZE + 1];
static size_t executed_count;

static void fail(const char *what) { perror(what), exit(1); }

static double seconds(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* A member as text; that of a string without its quotes. */
static char *member(siot_span object, const char *name) {
  siot_span value;
  if (siot_member(object, name, &value)) fprintf(stderr, "there is no %s\n", name), exit(1);
  const char *text = value.bytes;
  return *text == '"' ? strndup(text + 1, value.size - 2) : strndup(text, value.size);
}

static double number(const char *name) {
  char *text = member(orders, name);
  double value = atof(text);
  free(text);
  return value;
}

static uint32_t uptime(void) { return (uint32_t)(seconds(CLOCK_MONOTONIC) * number("speed")); }

/* ---- The journal: each change as a line of JSON, written before the call returns ---------------- */

static void write_line(int file, const char *line, int size) {
  if (size < 0 || write(file, line, (size_t)size) != size) fail("write");
}

static int append(void *context, const char id[SIOT_ID_SIZE], siot_span payload) {
  char line[200];
  int size = snprintf(line, sizeof line, "[\"append\",\"%.36s\",\"", id);
  for (size_t i = 0; i < payload.size; i++) {
    char c = ((const char *)payload.bytes)[i];
    size += snprintf(line + size, sizeof line - (size_t)size, c == '"' ? "\\%c" : "%c", c);
  }
  size += snprintf(line + size, sizeof line - (size_t)size, "\"]\n");
  if (made == READINGS_MAX || payload.size >= PAYLOAD_MAX) return -1;
  write_line(journal, line, size);
  memcpy(readings[made].id, id, SIOT_ID_SIZE);
  memcpy(readings[made++].payload, payload.bytes, payload.size);
  return 0;
}

static long front(void *context, char id[SIOT_ID_SIZE], char *payload, size_t room) {
  if (first == made) return 0;
  size_t size = strlen(readings[first].payload);
  if (size > room) return -1;
  memcpy(id, readings[first].id, SIOT_ID_SIZE), memcpy(payload, readings[first].payload, size);
  return (long)size;
}

static int drop(void *context) {
  static const char line[] = "[\"drop\"]\n";
  write_line(journal, line, sizeof line - 1);
  first++;
  return 0;
}

static int keep(void *context, size_t place, const siot_known *one) {
  char line[200], id[33];
  for (int i = 0; i < 16; i++) snprintf(id + 2 * i, 3, "%02x", one->id[i]);
  write_line(journal, line, snprintf(line, sizeof line, "[\"keep\",%zu,\"%s\",%u,%u]\n", place, id,
                                     (unsigned)one->timestamp, (unsigned)one->state));
  known[place] = *one;
  return 0;
}

static const siot_functions functions = {siot_openssl_hmac, siot_openssl_random,
                                         append, front, drop, keep};

static void apply(const char *line) {
  size_t place;
  char id[SIOT_ID_SIZE + 1], text[4 * PAYLOAD_MAX];
  unsigned timestamp, state, byte;
  if (sscanf(line, "[\"append\",\"%36[0-9a-f-]\",\"%255[^\n]", id, text) == 2) {
    char *to = readings[made].payload;
    text[strlen(text) - 2] = 0; /* its end: "] */
    for (const char *from = text; *from; from++) if (*from != '\\') *to++ = *from;
    strcpy(readings[made++].id, id);
  } else if (!strncmp(line, "[\"drop\"", 7)) {
    first++;
  } else if (sscanf(line, "[\"keep\",%zu,\"%32[0-9a-f]\",%u,%u]", &place, id, &timestamp, &state) == 4) {
    for (int i = 0; i < 16; i++)
      if (sscanf(id + 2 * i, "%2x", &byte) == 1) known[place].id[i] = (uint8_t)byte;
    known[place].timestamp = timestamp, known[place].state = state;
  } else {
    fprintf(stderr, "what is this? %s\n", line), exit(1);
  }
}

static void apply_execution(const char *line) {
  snprintf(executed[executed_count++], SIOT_ID_SIZE + 1, "%.36s", line);
}

/* Opens a file to write on, after its complete lines: what a kill has cut off is taken away. */
static int open_lines(const char *path, void (*take)(const char *)) {
  char line[1000];
  long complete = 0;
  int file = open(path, O_RDWR | O_APPEND | O_CREAT, 0600);
  FILE *lines = fopen(path, "r");
  if (file < 0 || !lines) fail(path);
  while (fgets(line, sizeof line, lines) && strchr(line, '\n')) {
    take(line);
    complete = ftell(lines);
  }
  fclose(lines);
  if (ftruncate(file, complete)) fail(path);
  return file;
}

static siot_span read_file(const char *folder, const char *name) {
  char path[500], *text = malloc(4000);
  snprintf(path, sizeof path, "%s/%s", folder, name);
  int file = open(path, O_RDONLY);
  ssize_t size = file < 0 ? -1 : read(file, text, 4000);
  if (size < 0) fail(path);
  close(file);
  return (siot_span){text, (size_t)size};
}

/* ---- MQTT -------------------------------------------------------------------------------------- */

static void publish(const char *name, const char *message, size_t size) {
  char topic[100];
  snprintf(topic, sizeof topic, "device/%s/%s", device.id, name);
  mosquitto_publish(client, NULL, topic, (int)size, message, 1, false);
}

static void execute(const siot_command_message *command) {
  char line[500];
  write_line(executions, line, snprintf(line, sizeof line, "%s %.*s\n", command->message_id,
                                        (int)command->payload.size,
                                        (const char *)command->payload.bytes));
  apply_execution(line);
}

static int was_executed(const char *id) {
  for (size_t i = 0; i < executed_count; i++) if (!strcmp(executed[i], id)) return 1;
  return 0;
}

static void obey(siot_span text) {
  static const siot_span nothing = {"", 0};
  char buffer[1000];
  size_t size;
  siot_command_message command;
  siot_result result = siot_command(&device, uptime(), text.bytes, text.size, &command);
  if (result == SIOT_FAILED || result == SIOT_FULL) fail("a command");
  if (result != SIOT_OK && result != SIOT_REPEATED) return;
  if (result == SIOT_OK) execute(&command);
  else if (command.state == SIOT_TAKEN && !was_executed(command.message_id)) {
    execute(&command); /* killed after its id was kept */
  }
  if (siot_acknowledge(&device, uptime(), command.message_id, SIOT_DONE, nothing, nothing, buffer,
                       sizeof buffer, &size) == SIOT_SEND)
    publish("ack", buffer, size);
}

static void respond(const mosquitto_property *all, siot_span body) {
  static const char *const names[] = {"message_id", "status", "timestamp", "signature"};
  siot_properties properties = {{"", 0}, {"", 0}, {"", 0}, {"", 0}};
  siot_span *fields[] = {&properties.message_id, &properties.status, &properties.timestamp,
                         &properties.signature};
  char *name, *value, *texts[4] = {NULL};
  for (int next = 0; (all = mosquitto_property_read_string_pair(all, MQTT_PROP_USER_PROPERTY, &name,
                                                                &value, next)); next = 1) {
    for (int i = 0; i < 4; i++)
      if (!strcmp(name, names[i]) && !texts[i]) *fields[i] = siot_text(texts[i] = strdup(value));
    free(name), free(value);
  }
  siot_response(&device, &properties, body);
  for (int i = 0; i < 4; i++) free(texts[i]);
}

static void receive(struct mosquitto *from, void *self, const struct mosquitto_message *got,
                    const mosquitto_property *properties) {
  siot_span text = {got->payload, (size_t)got->payloadlen};
  siot_receipt_message receipt;
  if (strstr(got->topic, "/command")) obey(text);
  else if (strstr(got->topic, "/receipt"))
    siot_receipt(&device, uptime(), text.bytes, text.size, &receipt);
  else if (mqtt == 5) respond(properties, text);
}

static void connected(struct mosquitto *self, void *context, int reason) {
  char topic[100];
  snprintf(topic, sizeof topic, "device/%s/+", device.id); /* it may read no other */
  if (!reason) mosquitto_subscribe(client, NULL, topic, 1);
}

static void subscribed(struct mosquitto *self, void *context, int id, int count, const int *qos) {
  siot_connected(&device, uptime());
  is_subscribed = 1;
}

static void make_client(siot_span about, const char *folder) {
  char ca[500], certificate[500], key[500];
  snprintf(ca, sizeof ca, "%s/ca.crt", folder);
  snprintf(certificate, sizeof certificate, "%s/client.crt", folder);
  snprintf(key, sizeof key, "%s/client.key", folder);
  mosquitto_lib_init();
  client = mosquitto_new(member(about, "client_id"), false, NULL);
  mosquitto_int_option(client, MOSQ_OPT_PROTOCOL_VERSION,
                       mqtt == 5 ? MQTT_PROTOCOL_V5 : MQTT_PROTOCOL_V311);
  mosquitto_connect_callback_set(client, connected);
  mosquitto_subscribe_callback_set(client, subscribed);
  mosquitto_message_v5_callback_set(client, receive);
  int error = mosquitto_tls_set(client, ca, NULL, certificate, key, NULL);
  if (error) fprintf(stderr, "%s\n", mosquitto_strerror(error)), exit(1);
}

/* One reading when its moment has come. */
static void make_reading(void) {
  static double next;
  char payload[PAYLOAD_MAX];
  if ((double)made >= number("readings") || seconds(CLOCK_MONOTONIC) < next) return;
  snprintf(payload, sizeof payload, "{\"n\":%zu}", made);
  if (siot_enqueue(&device, siot_text(payload))) fail("a reading");
  next = seconds(CLOCK_MONOTONIC) + number("every_ms") / 1000;
}

/* What there is to do on a connection; returns an error of libmosquitto where it ends. */
static int step(void) {
  char message[1000];
  size_t size;
  int error = mosquitto_loop(client, 10, 1);
  if (error || !is_subscribed) return error;
  if (siot_next(&device, uptime(), message, sizeof message, &size) == SIOT_SEND)
    publish("data", message, size);
  return 0;
}

int main(int argc, char **argv) {
  if (argc != 2) return fprintf(stderr, "Usage: device ORDERS\n"), 2;
  orders = siot_text(argv[1]);
  mqtt = (int)number("mqtt");
  char *folder = member(orders, "folder"), *ahead = member(orders, "ahead");
  siot_span about = read_file(folder, "device.json");
  device.id = member(about, "device_id"), device.secret = read_file(folder, "secret");
  device.functions = &functions, device.known = known, device.known_places = COMMANDS_MAX;
  journal = open_lines(member(orders, "journal"), apply);
  executions = open_lines(member(orders, "executions"), apply_execution);
  if (strcmp(ahead, "null"))
    siot_clock(&device, uptime(), (uint32_t)(seconds(CLOCK_REALTIME) + atof(ahead)));
  make_client(about, folder);
  mosquitto_property *session = NULL;
  mosquitto_property_add_int32(&session, MQTT_PROP_SESSION_EXPIRY_INTERVAL, SESSION_SECONDS);
  for (;; usleep(100 * 1000)) {
    is_subscribed = 0;
    make_reading();
    if (mosquitto_connect_bind_v5(client, "localhost", (int)number("port"), 5, NULL,
                                  mqtt == 5 ? session : NULL)) continue;
    while (!step()) make_reading();
  }
}
