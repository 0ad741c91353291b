/* SecureIoTGateway: the device's side of the protocol, version 1. One header, C99.
 *
 * SPDX-License-Identifier: MIT
 *
 * What it does: signs readings and keeps them until the gateway has them, opens commands, receipts
 * and responses, acknowledges commands, takes the clock from a receipt. What it leaves to you: MQTT,
 * TLS, JSON of your own payloads, HMAC-SHA256, random bytes and storage, which it reaches through
 * the functions of `siot_device`. It allocates nothing, prints nothing, and knows no time but the
 * `uptime` you give it: seconds since the start, from a clock that never steps.
 *
 * In one C file:    #define SIOT_IMPLEMENTATION
 *                   #include "secure_iot_device.h"
 * In all others:    #include "secure_iot_device.h"
 * With SIOT_BUILTIN_SHA256 defined in that one file, `siot_builtin_hmac` needs no library.
 *
 * The main loop, in short:
 *
 *     siot_connected(&device, uptime);                        once the topics are subscribed
 *     if (siot_next(&device, uptime, buffer, sizeof buffer, &size) == SIOT_SEND)
 *       publish("device/{id}/data", buffer, size, qos 1);
 *     on device/{id}/receipt:  siot_receipt(&device, uptime, text, size, &receipt);
 *     on device/{id}/response: siot_response(&device, uptime, &properties, body, size);
 *     on device/{id}/command:  if (siot_command(&device, uptime, text, size, &command) == SIOT_OK) do it;
 *                              siot_acknowledge(&device, uptime, command.message_id, SIOT_DONE, ...);
 */
#ifndef SECURE_IOT_DEVICE_H
#define SECURE_IOT_DEVICE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Characters of a message id: a UUID of version 4, in lower case when made here. */
#define SIOT_ID_SIZE 36
/* What a message has beside its payload and the device's id, in bytes. */
#define SIOT_OVERHEAD 200
/* How far a timestamp may be from now, either way, in seconds. */
#define SIOT_TOLERANCE 300u
/* The first time that has ten digits: a number in JSON does not begin with 0. */
#define SIOT_EARLIEST 1000000000u

typedef enum {
  SIOT_OK = 0,       /* genuine and new: act on it */
  SIOT_SEND,         /* of siot_next: the buffer holds a message to publish */
  SIOT_IDLE,         /* nothing to do now */
  SIOT_REPEATED,     /* a command that was taken before: do nothing, acknowledge it again */
  SIOT_OTHER,        /* genuine, but about a message that is not the one in flight */
  SIOT_FORGED,       /* the signature does not fit: drop it */
  SIOT_MALFORMED,    /* not a message of this protocol, or an argument that cannot be sent */
  SIOT_STALE,        /* a command outside the tolerance: drop it */
  SIOT_NO_CLOCK,     /* a command before the time is known: drop it, it comes again or ends */
  SIOT_FULL,         /* no room: for another command id, or for the message in the buffer */
  SIOT_FAILED        /* a function of yours failed: HMAC, random or storage */
} siot_result;

/* The states that a device gives a command. */
typedef enum {
  SIOT_TAKEN = 0, /* its id is kept, nothing was said yet: after a restart, nobody knows if it was done */
  SIOT_RECEIVED, SIOT_RUNNING, SIOT_DONE, SIOT_REFUSED, SIOT_NOT_DONE /* "failed" */
} siot_state;

/* Some bytes of yours; for text, UTF-8 without a NUL. */
typedef struct { const void *bytes; size_t size; } siot_span;

/* A command whose id is remembered. Zeroes are an empty place. */
typedef struct {
  uint8_t id[16];
  uint32_t timestamp; /* of the newest copy, Unix seconds */
  uint32_t state;     /* siot_state: what was acknowledged last */
} siot_known;

typedef struct {
  /* HMAC-SHA256 over all parts, joined. Returns 0 when `mac` holds the result. */
  int (*hmac)(void *context, siot_span key, const siot_span *parts, size_t count, uint8_t mac[32]);
  /* Fills `bytes` from a generator fit for cryptography. Returns 0 when done. */
  int (*random)(void *context, uint8_t *bytes, size_t size);

  /* The queue of readings, oldest first, kept over a power cut. */
  int (*append)(void *context, const char id[SIOT_ID_SIZE], siot_span payload);
  /* Copies the oldest; returns the payload's size, 0 when the queue is empty, -1 on a fault or when
   * `room` is too small. */
  long (*front)(void *context, char id[SIOT_ID_SIZE], char *payload, size_t room);
  int (*drop)(void *context); /* forgets the oldest */

  /* Keeps one place of `known` over a power cut, before its command is acted on. */
  int (*keep)(void *context, size_t place, const siot_known *known);
} siot_functions;

/* Zero it, fill in the first part, and leave the second to the kit. */
typedef struct {
  const char *id;           /* 1 to 64 characters */
  siot_span secret;         /* the bytes of the secret's text */
  const siot_functions *functions;
  void *context;            /* handed to each function */
  siot_known *known;        /* as it was kept before the restart */
  size_t known_places;      /* no more commands than this within `known_seconds` */
  uint32_t known_seconds;   /* the longest TTL that your backend gives; 0 stands for seven days */

  uint32_t clock_at_start;  /* Unix time when uptime was 0; 0: not known. Set it with siot_clock */
  uint32_t newest;          /* newest time that the gateway signed: the clock is never set back behind it */
  uint32_t clock_set_at;    /* uptime of the last time that a receipt set the clock */
  uint32_t due;             /* uptime at which the front is sent next */
  uint32_t signed_at;       /* timestamp of the attempt in flight; 0 and not in_flight: none */
  uint8_t in_flight, tries, clock_from_receipt;
  char in_flight_id[SIOT_ID_SIZE];
} siot_device;

/* A command that was opened. The payload is JSON text, not ended by a NUL, in the text you gave. */
typedef struct {
  char message_id[SIOT_ID_SIZE + 1];
  uint32_t timestamp;
  siot_span payload;
  siot_state state; /* with SIOT_REPEATED: what was acknowledged last */
} siot_command_message;

/* What became of the message in flight. */
typedef enum {
  SIOT_ENDED,     /* the gateway has it; it left the queue */
  SIOT_AGAIN,     /* it goes again by itself (clock put right, or too fast) */
  SIOT_STUCK      /* it goes again in an hour: the secret, the id or the payload is wrong; say so */
} siot_fate;

typedef struct {
  char message_id[SIOT_ID_SIZE + 1];
  uint32_t timestamp; /* the gateway's clock */
  siot_span payload;  /* {"result":"rejected","code":"timestamp_out_of_range"} and the like */
  siot_fate fate;     /* with SIOT_OK */
} siot_receipt_message;

/* The MQTT 5 User Properties of a response, each as text; absent ones have size 0. */
typedef struct { siot_span message_id, status, timestamp, signature; } siot_properties;

/* Sets the clock from a source you trust (a battery clock, NTP): Unix seconds now. */
void siot_clock(siot_device *device, uint32_t uptime, uint32_t now);

/* Unix seconds now. While no clock is known, and before 2001: SIOT_EARLIEST. */
uint32_t siot_now(const siot_device *device, uint32_t uptime);

/* Puts a reading into the queue: JSON text, as it is to reach the backend. */
siot_result siot_enqueue(siot_device *device, siot_span payload);

/* Call it after each connect, once the topics are subscribed: what is in flight goes again. */
void siot_connected(siot_device *device, uint32_t uptime);

/* The next message to publish on device/{id}/data with QoS 1, or SIOT_IDLE. Call it each second
 * while connected: the reading goes again until a receipt or a response ends it. */
siot_result siot_next(siot_device *device, uint32_t uptime, char *buffer, size_t room, size_t *size);

/* Takes what came on device/{id}/receipt. With SIOT_OK, `receipt->fate` says what it means. */
siot_result siot_receipt(siot_device *device, uint32_t uptime, const char *text, size_t size,
                         siot_receipt_message *receipt);

/* Takes what came on device/{id}/response, by MQTT 5. SIOT_OK: the reading is delivered and left
 * the queue. By MQTT 3.1.1 nothing pairs a response with its reading: do not call this, and let
 * the gateway's operator set receipts.send = "all". */
siot_result siot_response(siot_device *device, const siot_properties *properties, siot_span body);

/* Opens what came on device/{id}/command. SIOT_OK: its id is kept, act on it now, once. */
siot_result siot_command(siot_device *device, uint32_t uptime, const char *text, size_t size,
                         siot_command_message *command);

/* Writes an acknowledgement for device/{id}/ack, QoS 1. `result` is JSON text and `reason` plain
 * text; either may be empty. SIOT_SEND: the buffer holds it. */
siot_result siot_acknowledge(siot_device *device, uint32_t uptime, const char *message_id,
                             siot_state state, siot_span result, siot_span reason, char *buffer,
                             size_t room, size_t *size);

/* Finds a member of a JSON object: its value's text. Returns 0 when it is there. */
int siot_member(siot_span object, const char *name, siot_span *value);

/* The bytes of a text that ends in a NUL. */
siot_span siot_text(const char *text);

#ifdef SIOT_BUILTIN_SHA256
/* HMAC-SHA256 (RFC 2104, FIPS 180-4) of its own, for `siot_functions.hmac`. */
int siot_builtin_hmac(void *context, siot_span key, const siot_span *parts, size_t count,
                      uint8_t mac[32]);
#endif

#ifdef __cplusplus
}
#endif
#endif /* SECURE_IOT_DEVICE_H */

#if defined(SIOT_IMPLEMENTATION) && !defined(SIOT_IMPLEMENTED)
#define SIOT_IMPLEMENTED
#ifdef __cplusplus
#error "SIOT_IMPLEMENTATION belongs in a C file; from C++, and from a sketch, only include the header"
#endif
#include <string.h>

#define SIOT_FIRST_WAIT 30u
#define SIOT_LONGEST_WAIT 900u
#define SIOT_STUCK_WAIT 3600u
#define SIOT_CLOCK_PAUSE 60u
#define SIOT_SEVEN_DAYS 604800u
#define SIOT_DEPTH 64

siot_span siot_text(const char *text) {
  siot_span span = {text, strlen(text)};
  return span;
}

/* ---- JSON (RFC 8259): only where a value ends, and whether it is one --------------------------- */

static size_t siot__space(const char *t, size_t n, size_t i) {
  while (i < n && (t[i] == ' ' || t[i] == '\t' || t[i] == '\n' || t[i] == '\r')) i++;
  return i;
}

/* Each of these returns the place behind what it read, or 0 where it does not stand. */
static size_t siot__string(const char *t, size_t n, size_t i) {
  if (i >= n || t[i] != '"') return 0;
  for (i++; i < n; i++) {
    if (t[i] == '"') return i + 1;
    if ((unsigned char)t[i] < 0x20) return 0;
    if (t[i] == '\\') {
      if (++i >= n || !t[i] || !strchr("\"\\/bfnrtu", t[i])) return 0;
      if (t[i] == 'u') {
        for (int k = 0; k < 4; k++)
          if (++i >= n || !t[i] || !strchr("0123456789abcdefABCDEF", t[i])) return 0;
      }
    }
  }
  return 0;
}

static size_t siot__digits(const char *t, size_t n, size_t i) {
  size_t from = i;
  while (i < n && t[i] >= '0' && t[i] <= '9') i++;
  return i == from ? 0 : i;
}

static size_t siot__number(const char *t, size_t n, size_t i) {
  if (i < n && t[i] == '-') i++;
  if (i < n && t[i] == '0') i++;
  else if (!(i = siot__digits(t, n, i))) return 0;
  if (i < n && t[i] == '.' && !(i = siot__digits(t, n, i + 1))) return 0;
  if (i < n && (t[i] == 'e' || t[i] == 'E')) {
    i++;
    if (i < n && (t[i] == '+' || t[i] == '-')) i++;
    if (!(i = siot__digits(t, n, i))) return 0;
  }
  return i;
}

static size_t siot__scalar(const char *t, size_t n, size_t i) {
  static const char *const words[] = {"true", "false", "null"};
  if (i < n && t[i] == '"') return siot__string(t, n, i);
  for (size_t w = 0; w < 3; w++) {
    size_t size = strlen(words[w]);
    if (n - i >= size && !memcmp(t + i, words[w], size)) return i + size;
  }
  return siot__number(t, n, i);
}

/* A name and its colon, with the space around them. */
static size_t siot__name(const char *t, size_t n, size_t i) {
  i = siot__string(t, n, siot__space(t, n, i));
  if (!i) return 0;
  i = siot__space(t, n, i);
  return i < n && t[i] == ':' ? i + 1 : 0;
}

/* A whole value, which may hold SIOT_DEPTH others inside each other. No recursion. */
static size_t siot__value(const char *t, size_t n, size_t i) {
  char closing[SIOT_DEPTH];
  int depth = 0;
  for (;;) {
    i = siot__space(t, n, i);
    if (i < n && (t[i] == '{' || t[i] == '[')) {
      char close = t[i] == '{' ? '}' : ']';
      size_t inner = siot__space(t, n, i + 1);
      if (depth == SIOT_DEPTH) return 0;
      if (inner < n && t[inner] == close) {
        i = inner + 1;
      } else {
        closing[depth++] = close;
        i = close == '}' ? siot__name(t, n, inner) : inner;
        if (!i) return 0;
        continue;
      }
    } else if (!(i = siot__scalar(t, n, i))) {
      return 0;
    }
    for (;;) {
      if (!depth) return i;
      i = siot__space(t, n, i);
      if (i >= n) return 0;
      if (t[i] == ',') {
        i++;
        if (closing[depth - 1] == '}' && !(i = siot__name(t, n, i))) return 0;
        break;
      }
      if (t[i++] != closing[--depth]) return 0;
    }
  }
}

static int siot__is_json(siot_span text) {
  size_t end = siot__value(text.bytes, text.size, 0);
  return end && siot__space(text.bytes, text.size, end) == text.size;
}

static int siot__same(siot_span a, const char *text) {
  return a.size == strlen(text) && !memcmp(a.bytes, text, a.size);
}

int siot_member(siot_span object, const char *name, siot_span *value) {
  const char *t = object.bytes;
  size_t n = object.size, i = siot__space(t, n, 0);
  char before = '{';
  while (i < n && t[i] == before) {
    siot_span found;
    size_t from = siot__space(t, n, i + 1), end = siot__string(t, n, from);
    if (!end) return -1;
    found.bytes = t + from + 1;
    found.size = end - from - 2;
    i = siot__name(t, n, from);
    if (!i) return -1;
    i = siot__space(t, n, i);
    end = siot__value(t, n, i);
    if (!end) return -1;
    value->bytes = t + i;
    value->size = end - i;
    if (siot__same(found, name)) return 0;
    i = siot__space(t, n, end);
    before = ',';
  }
  return -1;
}

/* ---- Fields ------------------------------------------------------------------------------------ */

static int siot__nibble(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c |= 0x20;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Hex digits to bytes; 0 when all are. */
static int siot__unhex(const char *text, size_t count, uint8_t *bytes) {
  for (size_t i = 0; i < count; i++) {
    int high = siot__nibble(text[2 * i]), low = high < 0 ? -1 : siot__nibble(text[2 * i + 1]);
    if (low < 0) return -1;
    bytes[i] = (uint8_t)(high << 4 | low);
  }
  return 0;
}

static char *siot__hex(const uint8_t *bytes, size_t count, char *text) {
  for (size_t i = 0; i < count; i++) {
    *text++ = "0123456789abcdef"[bytes[i] >> 4];
    *text++ = "0123456789abcdef"[bytes[i] & 15];
  }
  return text;
}

/* The 16 bytes of a UUID in its usual form. */
static int siot__uuid(const char *text, uint8_t id[16]) {
  size_t at = 0;
  for (size_t i = 0; i < 16; i++) {
    if (i == 4 || i == 6 || i == 8 || i == 10) {
      if (text[at++] != '-') return -1;
    }
    if (siot__unhex(text + at, 1, id + i)) return -1;
    at += 2;
  }
  return 0;
}

static void siot__ten_digits(uint32_t value, char *text) {
  for (int i = 9; i >= 0; i--, value /= 10) text[i] = (char)('0' + value % 10);
}

/* Ten digits, up to the year 2106. */
static int siot__timestamp(siot_span text, uint32_t *value) {
  const char *t = text.bytes;
  uint32_t sum = 0;
  if (text.size != 10) return -1;
  for (int i = 0; i < 10; i++) {
    uint32_t digit = (uint32_t)(t[i] - '0');
    if (digit > 9 || sum > (UINT32_MAX - digit) / 10) return -1;
    sum = sum * 10 + digit;
  }
  *value = sum;
  return 0;
}

/* ---- Signatures -------------------------------------------------------------------------------- */

typedef struct {
  siot_span timestamp, message_id, payload, signature;
} siot__fields;

/* HMAC over kind + device_id + timestamp + message_id + status + payload. */
static int siot__sign(const siot_device *device, const char *kind, const siot__fields *fields,
                      siot_span status, uint8_t mac[32]) {
  siot_span parts[6];
  parts[0] = siot_text(kind);
  parts[1] = siot_text(device->id);
  parts[2] = fields->timestamp;
  parts[3] = fields->message_id;
  parts[4] = status;
  parts[5] = fields->payload;
  return device->functions->hmac(device->context, device->secret, parts, 6, mac);
}

static siot_result siot__verify(const siot_device *device, const char *kind,
                                const siot__fields *fields, siot_span status) {
  uint8_t expected[32], given[32], differ = 0;
  if (fields->signature.size != 64 || siot__unhex(fields->signature.bytes, 32, given))
    return SIOT_MALFORMED;
  if (siot__sign(device, kind, fields, status, expected)) return SIOT_FAILED;
  for (int i = 0; i < 32; i++) differ |= (uint8_t)(expected[i] ^ given[i]); /* in constant time */
  return differ ? SIOT_FORGED : SIOT_OK;
}

static const siot_span siot__nothing = {"", 0};

/* Steps over `text` in what is left of a message. */
static int siot__past(siot_span *left, const char *text) {
  size_t size = strlen(text);
  if (left->size < size || memcmp(left->bytes, text, size)) return 0;
  left->bytes = (const char *)left->bytes + size;
  left->size -= size;
  return 1;
}

static int siot__take(siot_span *left, size_t size, siot_span *taken) {
  if (left->size < size) return 0;
  taken->bytes = left->bytes;
  taken->size = size;
  left->bytes = (const char *)left->bytes + size;
  left->size -= size;
  return 1;
}

/* Takes a command or a receipt apart, which the gateway writes in exactly this form, and verifies
 * it: {"timestamp":0123456789,"message_id":"…","payload":…,"signature":"…"} */
static siot_result siot__open(const siot_device *device, const char *kind, const char *text,
                              size_t size, siot__fields *fields, uint32_t *timestamp,
                              uint8_t id[16]) {
  static const char before_signature[] = ",\"signature\":\"", end[] = "\"}";
  const size_t tail = sizeof before_signature - 1 + 64 + sizeof end - 1;
  siot_span left;
  left.bytes = text;
  left.size = size;
  if (!siot__past(&left, "{\"timestamp\":") || !siot__take(&left, 10, &fields->timestamp) ||
      !siot__past(&left, ",\"message_id\":\"") ||
      !siot__take(&left, SIOT_ID_SIZE, &fields->message_id) ||
      !siot__past(&left, "\",\"payload\":") || left.size < tail ||
      !siot__take(&left, left.size - tail, &fields->payload) ||
      !siot__past(&left, before_signature) || !siot__take(&left, 64, &fields->signature) ||
      !siot__past(&left, end) || siot__timestamp(fields->timestamp, timestamp) ||
      siot__uuid(fields->message_id.bytes, id))
    return SIOT_MALFORMED;
  return siot__verify(device, kind, fields, siot__nothing);
}

/* ---- Writing ----------------------------------------------------------------------------------- */

typedef struct { char *text; size_t room, size; } siot__writer; /* size > room: did not fit */

static void siot__put(siot__writer *to, siot_span part) {
  if (to->size <= to->room && part.size <= to->room - to->size) {
    memmove(to->text + to->size, part.bytes, part.size);
    to->size += part.size;
  } else {
    to->size = to->room + 1;
  }
}

static void siot__put_text(siot__writer *to, const char *text) { siot__put(to, siot_text(text)); }

static siot__fields siot__begin(const siot_device *device, siot__writer *to, uint32_t timestamp,
                                const char *message_id) {
  siot__fields fields;
  char digits[10];
  siot_span ten = {digits, 10}, id = {message_id, SIOT_ID_SIZE};
  siot__ten_digits(timestamp, digits);
  siot__put_text(to, "{\"device_id\":\"");
  siot__put_text(to, device->id);
  siot__put_text(to, "\",\"timestamp\":");
  fields.timestamp.bytes = to->text + to->size;
  fields.timestamp.size = 10;
  siot__put(to, ten);
  siot__put_text(to, ",\"message_id\":\"");
  fields.message_id.bytes = to->text + to->size;
  fields.message_id.size = SIOT_ID_SIZE;
  siot__put(to, id);
  siot__put_text(to, "\",\"payload\":");
  fields.payload.bytes = to->text + to->size;
  fields.payload.size = 0;
  return fields;
}

/* Signs what was begun, whose payload stands in the buffer now, and ends it. */
static siot_result siot__end(const siot_device *device, const char *kind, siot__writer *to,
                             siot__fields *fields, size_t *size) {
  uint8_t mac[32];
  char hex[64];
  siot_span digits = {hex, 64};
  if (to->size > to->room) return SIOT_FULL;
  fields->payload.size = (size_t)(to->text + to->size - (const char *)fields->payload.bytes);
  if (siot__sign(device, kind, fields, siot__nothing, mac)) return SIOT_FAILED;
  siot__hex(mac, 32, hex);
  siot__put_text(to, ",\"signature\":\"");
  siot__put(to, digits);
  siot__put_text(to, "\"}");
  if (to->size > to->room) return SIOT_FULL;
  *size = to->size;
  return SIOT_SEND;
}

/* ---- The clock --------------------------------------------------------------------------------- */

void siot_clock(siot_device *device, uint32_t uptime, uint32_t now) {
  device->clock_at_start = now > uptime ? now - uptime : 0;
}

uint32_t siot_now(const siot_device *device, uint32_t uptime) {
  uint32_t now = device->clock_at_start + uptime;
  return now < SIOT_EARLIEST ? SIOT_EARLIEST : now;
}

static uint32_t siot__apart(uint32_t a, uint32_t b) { return a > b ? a - b : b - a; }

/* ---- Readings ---------------------------------------------------------------------------------- */

/* An id of ours ends in a code over its random part, so that it is known again without a memory: a
 * reading that somebody sends back on the topic of commands is signed like one. */
static int siot__id_code(const siot_device *device, const uint8_t id[16], uint8_t code[32]) {
  siot_span parts[2];
  parts[0] = siot_text("id:");
  parts[1].bytes = id;
  parts[1].size = 10;
  return device->functions->hmac(device->context, device->secret, parts, 2, code);
}

siot_result siot_enqueue(siot_device *device, siot_span payload) {
  uint8_t bytes[16], code[32];
  char id[SIOT_ID_SIZE], *at = id;
  if (!siot__is_json(payload)) return SIOT_MALFORMED;
  if (device->functions->random(device->context, bytes, 10)) return SIOT_FAILED;
  bytes[6] = (uint8_t)(0x40 | (bytes[6] & 0x0f)); /* version 4 (RFC 9562) */
  bytes[8] = (uint8_t)(0x80 | (bytes[8] & 0x3f)); /* variant 1 */
  if (siot__id_code(device, bytes, code)) return SIOT_FAILED;
  memcpy(bytes + 10, code, 6);
  for (size_t i = 0; i < 16; i++) {
    if (i == 4 || i == 6 || i == 8 || i == 10) *at++ = '-';
    at = siot__hex(bytes + i, 1, at);
  }
  return device->functions->append(device->context, id, payload) ? SIOT_FAILED : SIOT_OK;
}

void siot_connected(siot_device *device, uint32_t uptime) {
  if (siot__apart(device->due, uptime) < SIOT_STUCK_WAIT / 2) device->due = uptime;
}

static void siot__wait(siot_device *device, uint32_t uptime) {
  uint32_t wait = device->tries < 5 ? SIOT_FIRST_WAIT << device->tries : SIOT_LONGEST_WAIT;
  if (device->tries < 5) device->tries++;
  device->due = uptime + wait;
}

siot_result siot_next(siot_device *device, uint32_t uptime, char *buffer, size_t room,
                      size_t *size) {
  siot__writer to = {buffer, room, 0};
  siot__fields fields;
  char id[SIOT_ID_SIZE];
  uint32_t now = siot_now(device, uptime);
  long payload;
  siot_result result;
  if (device->in_flight && (int32_t)(uptime - device->due) < 0) return SIOT_IDLE;
  /* Begun twice: how long the head is does not depend on the id that stands in it. */
  memset(id, '0', sizeof id);
  siot__begin(device, &to, 0, id);
  if (to.size > to.room) return SIOT_FULL;
  payload = device->functions->front(device->context, id, buffer + to.size, to.room - to.size);
  if (payload <= 0) return payload ? SIOT_FAILED : SIOT_IDLE;
  if (!device->in_flight || memcmp(device->in_flight_id, id, SIOT_ID_SIZE)) {
    memcpy(device->in_flight_id, id, SIOT_ID_SIZE);
    device->in_flight = 1;
    device->tries = 0;
    device->signed_at = now;
  } else if (siot__apart(now, device->signed_at) > SIOT_TOLERANCE - SIOT_FIRST_WAIT) {
    device->signed_at = now; /* the same bytes again, while they are in range; then signed again */
  }
  to.size = 0;
  fields = siot__begin(device, &to, device->signed_at, id);
  to.size += (size_t)payload;
  result = siot__end(device, "", &to, &fields, size);
  siot__wait(device, uptime);
  return result;
}

/* The message in flight is with the gateway. */
static siot_result siot__settle(siot_device *device) {
  if (device->functions->drop(device->context)) return SIOT_FAILED;
  device->in_flight = 0;
  return SIOT_OK;
}

static int siot__is_in_flight(const siot_device *device, const uint8_t id[16]) {
  uint8_t own[16];
  return device->in_flight && !siot__uuid(device->in_flight_id, own) && !memcmp(own, id, 16);
}

/* The clock from a receipt about the message in flight: its id was new, so the answer is, too. */
static void siot__set_clock(siot_device *device, uint32_t uptime, uint32_t timestamp) {
  if (timestamp < device->newest) return;
  if (device->clock_from_receipt && uptime - device->clock_set_at < SIOT_CLOCK_PAUSE) {
    device->due = device->clock_set_at + SIOT_CLOCK_PAUSE;
  } else {
    device->clock_from_receipt = 1;
    device->clock_set_at = uptime;
    siot_clock(device, uptime, timestamp);
    device->due = uptime;
  }
  device->signed_at = 0; /* signed again */
}

static siot_fate siot__follow(siot_device *device, uint32_t uptime, siot_span payload,
                              uint32_t timestamp) {
  siot_span value;
  if (siot_member(payload, "result", &value)) return SIOT_STUCK;
  if (siot__same(value, "\"delivered\"") || siot__same(value, "\"dead\"")) return SIOT_ENDED;
  if (siot_member(payload, "code", &value)) return SIOT_STUCK;
  if (siot__same(value, "\"replayed\"")) return SIOT_ENDED;
  if (siot__same(value, "\"timestamp_out_of_range\"")) {
    siot__set_clock(device, uptime, timestamp);
    return SIOT_AGAIN;
  }
  if (siot__same(value, "\"rate_limited\"")) {
    siot__wait(device, uptime);
    return SIOT_AGAIN;
  }
  device->due = uptime + SIOT_STUCK_WAIT;
  return SIOT_STUCK;
}

siot_result siot_receipt(siot_device *device, uint32_t uptime, const char *text, size_t size,
                         siot_receipt_message *receipt) {
  static const uint8_t nil[16] = {0};
  siot__fields fields;
  uint8_t id[16];
  siot_result result =
      siot__open(device, "receipt:", text, size, &fields, &receipt->timestamp, id);
  if (result != SIOT_OK) return result;
  memcpy(receipt->message_id, fields.message_id.bytes, SIOT_ID_SIZE);
  receipt->message_id[SIOT_ID_SIZE] = 0;
  receipt->payload = fields.payload;
  if (!siot__is_in_flight(device, id) && (memcmp(id, nil, 16) || !device->in_flight))
    return SIOT_OTHER;
  receipt->fate = siot__follow(device, uptime, fields.payload, receipt->timestamp);
  if (receipt->timestamp > device->newest) device->newest = receipt->timestamp;
  return receipt->fate == SIOT_ENDED ? siot__settle(device) : SIOT_OK;
}

siot_result siot_response(siot_device *device, const siot_properties *properties, siot_span body) {
  siot__fields fields;
  uint8_t id[16];
  uint32_t timestamp;
  siot_result result;
  fields.timestamp = properties->timestamp;
  fields.message_id = properties->message_id;
  fields.signature = properties->signature;
  fields.payload = body;
  if (properties->status.size != 3 || siot__timestamp(fields.timestamp, &timestamp) ||
      fields.message_id.size != SIOT_ID_SIZE || siot__uuid(fields.message_id.bytes, id))
    return SIOT_MALFORMED;
  result = siot__verify(device, "response:", &fields, properties->status);
  if (result != SIOT_OK) return result;
  if (timestamp > device->newest) device->newest = timestamp;
  return siot__is_in_flight(device, id) ? siot__settle(device) : SIOT_OTHER;
}

/* ---- Commands ---------------------------------------------------------------------------------- */

static siot_known *siot__known(siot_device *device, const uint8_t id[16]) {
  for (size_t i = 0; i < device->known_places; i++)
    if (device->known[i].timestamp && !memcmp(device->known[i].id, id, 16)) return device->known + i;
  return NULL;
}

/* A place for another command: an empty one, or the oldest if it cannot come again. */
static siot_known *siot__place(siot_device *device, uint32_t now) {
  uint32_t seconds = device->known_seconds ? device->known_seconds : SIOT_SEVEN_DAYS;
  siot_known *oldest = NULL;
  for (size_t i = 0; i < device->known_places; i++)
    if (!oldest || device->known[i].timestamp < oldest->timestamp) oldest = device->known + i;
  if (!oldest || !oldest->timestamp) return oldest;
  return now > oldest->timestamp && now - oldest->timestamp > seconds + SIOT_TOLERANCE ? oldest : NULL;
}

static int siot__keep(siot_device *device, const siot_known *known) {
  size_t place = (size_t)(known - device->known);
  return device->functions->keep(device->context, place, known);
}

siot_result siot_command(siot_device *device, uint32_t uptime, const char *text, size_t size,
                         siot_command_message *command) {
  siot__fields fields;
  uint8_t id[16];
  uint8_t code[32];
  siot_known *known, taken;
  uint32_t now = siot_now(device, uptime);
  siot_result result = siot__open(device, "", text, size, &fields, &command->timestamp, id);
  if (result != SIOT_OK) return result;
  if (siot__id_code(device, id, code)) return SIOT_FAILED;
  if (!memcmp(code, id + 10, 6)) return SIOT_FORGED; /* our own reading */
  memcpy(command->message_id, fields.message_id.bytes, SIOT_ID_SIZE);
  command->message_id[SIOT_ID_SIZE] = 0;
  command->payload = fields.payload;
  command->state = SIOT_TAKEN;
  known = siot__known(device, id);
  if (known) {
    command->state = (siot_state)known->state;
    if (command->timestamp > known->timestamp) known->timestamp = command->timestamp;
    return siot__keep(device, known) ? SIOT_FAILED : SIOT_REPEATED;
  }
  if (!device->clock_at_start) return SIOT_NO_CLOCK;
  if (siot__apart(now, command->timestamp) > SIOT_TOLERANCE) return SIOT_STALE;
  known = siot__place(device, now);
  if (!known) return SIOT_FULL;
  memcpy(taken.id, id, 16);
  taken.timestamp = command->timestamp;
  taken.state = SIOT_TAKEN;
  if (device->functions->keep(device->context, (size_t)(known - device->known), &taken))
    return SIOT_FAILED;
  *known = taken;
  return SIOT_OK;
}

static void siot__put_string(siot__writer *to, siot_span text) {
  const char *t = text.bytes;
  char unit[7] = "\\u0000";
  for (size_t i = 0; i < text.size; i++) {
    siot_span one = {t + i, 1};
    if ((unsigned char)t[i] < 0x20 || t[i] == '"' || t[i] == '\\') {
      siot__hex((const uint8_t *)t + i, 1, unit + 4);
      one = siot_text(unit);
    }
    siot__put(to, one);
  }
}

siot_result siot_acknowledge(siot_device *device, uint32_t uptime, const char *message_id,
                             siot_state state, siot_span result, siot_span reason, char *buffer,
                             size_t room, size_t *size) {
  static const char *const words[] = {"received", "running", "done", "refused", "failed"};
  siot__writer to = {buffer, room, 0};
  siot__fields fields;
  siot_known *known;
  uint8_t id[16];
  if (state < SIOT_RECEIVED || state > SIOT_NOT_DONE || strlen(message_id) != SIOT_ID_SIZE ||
      siot__uuid(message_id, id) || (result.size && !siot__is_json(result)))
    return SIOT_MALFORMED;
  known = siot__known(device, id);
  if (known && known->state < (uint32_t)state) {
    known->state = (uint32_t)state;
    if (siot__keep(device, known)) return SIOT_FAILED;
  }
  fields = siot__begin(device, &to, siot_now(device, uptime), message_id);
  siot__put_text(&to, "{\"state\":\"");
  siot__put_text(&to, words[state - SIOT_RECEIVED]);
  siot__put_text(&to, "\"");
  if (result.size) {
    siot__put_text(&to, ",\"result\":");
    siot__put(&to, result);
  }
  if (reason.size) {
    siot__put_text(&to, ",\"reason\":\"");
    siot__put_string(&to, reason);
    siot__put_text(&to, "\"");
  }
  siot__put_text(&to, "}");
  return siot__end(device, "ack:", &to, &fields, size);
}

/* ---- SHA-256 (FIPS 180-4) and HMAC (RFC 2104) -------------------------------------------------- */

#ifdef SIOT_BUILTIN_SHA256
static const uint32_t siot__k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

typedef struct { uint32_t state[8]; uint8_t block[64]; uint32_t size; } siot__sha256;

static uint32_t siot__turn(uint32_t x, int n) { return x >> n | x << (32 - n); }

static void siot__compress(siot__sha256 *hash) {
  uint32_t w[16], s[8];
  memcpy(s, hash->state, sizeof s);
  for (int i = 0; i < 64; i++) {
    uint32_t word, t1, t2;
    if (i < 16) {
      const uint8_t *b = hash->block + 4 * i;
      word = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
    } else {
      uint32_t a = w[(i + 1) & 15], e = w[(i + 14) & 15];
      word = w[i & 15] + w[(i + 9) & 15] + (siot__turn(a, 7) ^ siot__turn(a, 18) ^ a >> 3) +
             (siot__turn(e, 17) ^ siot__turn(e, 19) ^ e >> 10);
    }
    w[i & 15] = word;
    t1 = s[7] + (siot__turn(s[4], 6) ^ siot__turn(s[4], 11) ^ siot__turn(s[4], 25)) +
         ((s[4] & s[5]) ^ (~s[4] & s[6])) + siot__k[i] + word;
    t2 = (siot__turn(s[0], 2) ^ siot__turn(s[0], 13) ^ siot__turn(s[0], 22)) +
         ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
    memmove(s + 1, s, 7 * sizeof *s);
    s[4] += t1;
    s[0] = t1 + t2;
  }
  for (int i = 0; i < 8; i++) hash->state[i] += s[i];
}

static void siot__sha256_start(siot__sha256 *hash) {
  static const uint32_t first[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  memcpy(hash->state, first, sizeof first);
  hash->size = 0;
}

static void siot__sha256_add(siot__sha256 *hash, siot_span part) {
  const uint8_t *bytes = part.bytes;
  for (size_t i = 0; i < part.size; i++) {
    hash->block[hash->size++ & 63] = bytes[i];
    if (!(hash->size & 63)) siot__compress(hash);
  }
}

/* Messages stay under 512 MiB, so 32 bits hold the count of bytes. */
static void siot__sha256_end(siot__sha256 *hash, uint8_t out[32]) {
  uint32_t high = hash->size >> 29, low = hash->size << 3;
  uint8_t one = 0x80, zero = 0, length[8];
  siot_span first = {&one, 1}, fill = {&zero, 1}, last = {length, 8};
  for (int i = 0; i < 4; i++) {
    length[i] = (uint8_t)(high >> (24 - 8 * i));
    length[4 + i] = (uint8_t)(low >> (24 - 8 * i));
  }
  siot__sha256_add(hash, first);
  while ((hash->size & 63) != 56) siot__sha256_add(hash, fill);
  siot__sha256_add(hash, last);
  for (int i = 0; i < 32; i++) out[i] = (uint8_t)(hash->state[i / 4] >> (24 - 8 * (i & 3)));
}

int siot_builtin_hmac(void *context, siot_span key, const siot_span *parts, size_t count,
                      uint8_t mac[32]) {
  siot__sha256 hash;
  uint8_t pad[64] = {0};
  siot_span whole = {pad, 64}, inner = {mac, 32};
  (void)context;
  if (key.size > 64) {
    siot__sha256_start(&hash);
    siot__sha256_add(&hash, key);
    siot__sha256_end(&hash, pad);
  } else {
    memcpy(pad, key.bytes, key.size);
  }
  for (int i = 0; i < 64; i++) pad[i] ^= 0x36;
  siot__sha256_start(&hash);
  siot__sha256_add(&hash, whole);
  for (size_t i = 0; i < count; i++) siot__sha256_add(&hash, parts[i]);
  siot__sha256_end(&hash, mac);
  for (int i = 0; i < 64; i++) pad[i] ^= 0x36 ^ 0x5c;
  siot__sha256_start(&hash);
  siot__sha256_add(&hash, whole);
  siot__sha256_add(&hash, inner);
  siot__sha256_end(&hash, mac);
  return 0;
}
#endif /* SIOT_BUILTIN_SHA256 */
#endif /* SIOT_IMPLEMENTED */
