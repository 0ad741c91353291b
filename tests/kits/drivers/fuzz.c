/* libFuzzer: any bytes as a command, a receipt, a response, a payload and an acknowledgement. Half of
 * the inputs are signed as they should be, so that what stands behind the signature is reached. */
#include <stdlib.h>
#include <string.h>

#define SIOT_IMPLEMENTATION
#define SIOT_BUILTIN_SHA256
#include "secure_iot_device.h"

#define LONGEST 4096
#define PLACES 3

static char text[LONGEST + 400], payload[LONGEST], id[SIOT_ID_SIZE];
static size_t held;
static siot_known known[PLACES];

static int random_bytes(void *context, uint8_t *bytes, size_t size) {
  (void)context;
  memset(bytes, 7, size);
  return 0;
}

static int append(void *context, const char message_id[SIOT_ID_SIZE], siot_span reading) {
  (void)context;
  if (held || reading.size > LONGEST) return -1;
  memcpy(id, message_id, SIOT_ID_SIZE);
  memcpy(payload, reading.bytes, reading.size);
  held = reading.size;
  return 0;
}

static long front(void *context, char message_id[SIOT_ID_SIZE], char *into, size_t room) {
  (void)context;
  if (held > room) return -1;
  memcpy(message_id, id, SIOT_ID_SIZE);
  memcpy(into, payload, held);
  return (long)held;
}

static int drop(void *context) {
  (void)context;
  held = 0;
  return 0;
}

static int keep(void *context, size_t place, const siot_known *one) {
  (void)context;
  if (place >= PLACES || !one->timestamp) abort();
  return 0;
}

static const siot_functions functions = {siot_builtin_hmac, random_bytes, append, front, drop, keep};

/* A message around any payload, with a signature of this kind. */
static size_t sign(siot_device *device, const char *kind, siot_span body, char *message) {
  siot__writer to = {message, LONGEST + 400, 0};
  siot__fields fields;
  uint8_t mac[32];
  char hex[64];
  siot_span digits = {hex, 64};
  siot__put_text(&to, "{\"timestamp\":1727712000,\"message_id\":\"660f9500-f30c-42e5-b817-557766550001\",\"payload\":");
  fields.timestamp.bytes = message + 13;
  fields.timestamp.size = 10;
  fields.message_id.bytes = message + 38;
  fields.message_id.size = SIOT_ID_SIZE;
  fields.payload.bytes = message + to.size;
  fields.payload.size = body.size;
  siot__put(&to, body);
  siot__sign(device, kind, &fields, siot__nothing, mac);
  siot__hex(mac, 32, hex);
  siot__put_text(&to, ",\"signature\":\"");
  siot__put(&to, digits);
  siot__put_text(&to, "\"}");
  return to.size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  siot_device device;
  siot_command_message command;
  siot_receipt_message receipt;
  siot_properties properties;
  siot_span body;
  size_t written = 0, half = size / 2;
  char *exact;
  if (size > LONGEST) return 0;
  body.bytes = data;
  body.size = size;
  memset(&device, 0, sizeof device);
  memset(known, 0, sizeof known);
  held = 0;
  device.id = "sensor_1";
  device.secret = siot_text("secret");
  device.functions = &functions;
  device.known = known;
  device.known_places = PLACES;
  siot_clock(&device, 0, 1727712000);
  siot_enqueue(&device, body);
  siot_enqueue(&device, siot_text("{}"));
  siot_next(&device, 1, text, sizeof text, &written);
  exact = malloc(size + 1); /* so that a byte read behind the end is seen */
  memcpy(exact, data, size);
  siot_command(&device, 2, exact, size, &command);
  siot_receipt(&device, 2, exact, size, &receipt);
  free(exact);
  written = sign(&device, "", body, text);
  if (siot_command(&device, 2, text, written, &command) != SIOT_OK) abort();
  if (siot_command(&device, 2, text, written, &command) != SIOT_REPEATED) abort();
  written = sign(&device, "receipt:", body, text);
  siot_receipt(&device, 3, text, written, &receipt);
  properties.message_id.bytes = data;
  properties.message_id.size = half;
  properties.status = properties.timestamp = properties.signature = properties.message_id;
  siot_response(&device, &properties, body);
  body.size = half;
  siot_acknowledge(&device, 4, "660f9500-f30c-42e5-b817-557766550001", (siot_state)(size % 7), body,
                   siot_text(""), text, size % 600, &written);
  siot_acknowledge(&device, 4, "660f9500-f30c-42e5-b817-557766550001", SIOT_DONE, siot_text(""), body,
                   text, sizeof text, &written);
  siot_next(&device, 5000, text, size % 600, &written);
  return 0;
}
