/* Drives the C kit by lines on standard input, one answer a line: see kit_driver.ts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIOT_IMPLEMENTATION
#define SIOT_BUILTIN_SHA256
#include "secure_iot_device.h"

#define READINGS 8
#define PLACES 64
#ifndef LONGEST
#define LONGEST 70000
#endif

static struct { char id[SIOT_ID_SIZE]; size_t size; char payload[LONGEST]; } readings[READINGS];
static size_t first, held;
static siot_known kept[PLACES], known[PLACES];
static char line[2 * LONGEST + 2000], text[LONGEST], more[LONGEST], buffer[LONGEST];
static char device_id[65], secret[1025], last_id[SIOT_ID_SIZE];
static siot_device device;
static unsigned long seed = 1;

static int random_bytes(void *context, uint8_t *bytes, size_t size) {
  (void)context;
  while (size--) *bytes++ = (uint8_t)((seed = seed * 1103515245u + 12345u) >> 16);
  return 0;
}

static int append(void *context, const char id[SIOT_ID_SIZE], siot_span payload) {
  size_t place = (first + held) % READINGS;
  (void)context;
  if (held == READINGS || payload.size > LONGEST) return -1;
  memcpy(readings[place].id, id, SIOT_ID_SIZE);
  memcpy(readings[place].payload, payload.bytes, payload.size);
  readings[place].size = payload.size;
  memcpy(last_id, id, SIOT_ID_SIZE);
  held++;
  return 0;
}

static long front(void *context, char id[SIOT_ID_SIZE], char *payload, size_t room) {
  (void)context;
  if (!held) return 0;
  if (readings[first].size > room) return -1;
  memcpy(id, readings[first].id, SIOT_ID_SIZE);
  memcpy(payload, readings[first].payload, readings[first].size);
  return (long)readings[first].size;
}

static int drop(void *context) {
  (void)context;
  if (!held) return -1;
  first = (first + 1) % READINGS;
  held--;
  return 0;
}

static int keep(void *context, size_t place, const siot_known *one) {
  (void)context;
  kept[place] = *one;
  return 0;
}

static const siot_functions functions = {siot_builtin_hmac, random_bytes, append, front, drop, keep};

#ifdef SEMIHOSTING /* under an emulated processor that has no operating system */
#include <semihost.h>
static char *read_line(void) {
  static int input = -1;
  size_t size = 0;
  if (input < 0) input = (int)sys_semihost_open(":tt", 0);
  while (size < sizeof line - 1 && !sys_semihost_read(input, line + size, 1))
    if (line[size++] == '\n') break;
  line[size] = 0;
  return size ? line : NULL;
}
#else
static char *read_line(void) { return fgets(line, sizeof line, stdin); }
#endif

/* The next word of the line, "-" for an empty one. */
static char *word(void) {
  char *found = strtok(NULL, " \r\n");
  return found && strcmp(found, "-") ? found : "";
}

static uint32_t number(void) { return (uint32_t)strtoul(word(), NULL, 10); }

static siot_span bytes(char *into) {
  const char *digits = word();
  siot_span span = {into, strlen(digits) / 2};
  for (size_t i = 0; i < span.size; i++) {
    unsigned value;
    sscanf(digits + 2 * i, "%2x", &value);
    into[i] = (char)value;
  }
  return span;
}

static const char *name_of(siot_result result) {
  static const char *const names[] = {"ok", "send", "idle", "repeated", "other", "forged",
                                      "malformed", "stale", "no_clock", "full", "failed"};
  return names[result];
}

static void print_hex(const void *from, size_t size) {
  const unsigned char *one = from;
  putchar(' ');
  while (size--) printf("%02x", *one++);
}

static void start(size_t places, uint32_t seconds) {
  memset(&device, 0, sizeof device);
  memcpy(known, kept, sizeof known);
  device.id = device_id;
  device.secret = siot_text(secret);
  device.functions = &functions;
  device.known = known;
  device.known_places = places;
  device.known_seconds = seconds;
}

static void set_up(void) {
  size_t places;
  strncpy(device_id, word(), sizeof device_id - 1);
  secret[bytes(secret).size] = 0;
  places = number();
  memset(kept, 0, sizeof kept);
  first = held = 0;
  start(places, number());
  fputs("ok", stdout);
}

static void take_command(void) {
  static const char *const words[] = {"-", "received", "running", "done", "refused", "failed"};
  uint32_t uptime = number();
  siot_span message = bytes(text);
  siot_command_message command;
  siot_result result = siot_command(&device, uptime, message.bytes, message.size, &command);
  fputs(name_of(result), stdout);
  if (result == SIOT_OK) print_hex(command.payload.bytes, command.payload.size);
  if (result == SIOT_REPEATED) printf(" %s", words[command.state]);
}

static void acknowledge(void) {
  static const char *const words[] = {"received", "running", "done", "refused", "failed"};
  uint32_t uptime = number();
  const char *id = word(), *named = word();
  siot_span result = bytes(text), reason = bytes(more);
  size_t size, state = 0;
  siot_result answer;
  while (state < 5 && strcmp(named, words[state])) state++;
  answer = siot_acknowledge(&device, uptime, id, (siot_state)(SIOT_RECEIVED + state), result, reason,
                            buffer, sizeof buffer, &size);
  fputs(name_of(answer), stdout);
  if (answer == SIOT_SEND) print_hex(buffer, size);
}

static void take_response(void) {
  siot_properties properties;
  properties.message_id = siot_text(word());
  properties.status = siot_text(word());
  properties.timestamp = siot_text(word());
  properties.signature = siot_text(word());
  fputs(name_of(siot_response(&device, &properties, bytes(text))), stdout);
}

static void take_receipt(void) {
  static const char *const fates[] = {"ended", "again", "stuck"};
  uint32_t uptime = number();
  siot_span message = bytes(text);
  siot_receipt_message receipt;
  siot_result result = siot_receipt(&device, uptime, message.bytes, message.size, &receipt);
  fputs(name_of(result), stdout);
  if (result == SIOT_OK) printf(" %s", fates[receipt.fate]);
}

static void next(void) {
  size_t size;
  siot_result result = siot_next(&device, number(), buffer, sizeof buffer, &size);
  fputs(name_of(result), stdout);
  if (result == SIOT_SEND) print_hex(buffer, size);
}

static void enqueue(void) {
  siot_result result = siot_enqueue(&device, bytes(text));
  fputs(name_of(result), stdout);
  if (result == SIOT_OK) printf(" %.36s", last_id);
}

int main(void) {
  while (read_line()) {
    const char *verb = strtok(line, " \r\n");
    uint32_t uptime;
    if (!verb) continue;
    if (!strcmp(verb, "device")) set_up();
    else if (!strcmp(verb, "restart")) start(device.known_places, device.known_seconds), fputs("ok", stdout);
    else if (!strcmp(verb, "clock")) uptime = number(), siot_clock(&device, uptime, number()), fputs("ok", stdout);
    else if (!strcmp(verb, "connected")) siot_connected(&device, number()), fputs("ok", stdout);
    else if (!strcmp(verb, "enqueue")) enqueue();
    else if (!strcmp(verb, "next")) next();
    else if (!strcmp(verb, "receipt")) take_receipt();
    else if (!strcmp(verb, "response")) take_response();
    else if (!strcmp(verb, "command")) take_command();
    else if (!strcmp(verb, "acknowledge")) acknowledge();
    else if (!strcmp(verb, "end")) break;
    putchar('\n');
    fflush(stdout);
  }
  return 0;
}
