#include <mosquitto.h>     // gcc device.c -lmosquitto -lcrypto -o device
#include <openssl/hmac.h>  // which brings stdio.h, stdlib.h and time.h
#include <string.h>        // in the folder devices/sensor_001: device sensor_001 localhost 8883
char *id, secret[1025], uuid[37], topic[99], topics[99], message[999], text[70000], hex[65];
char *sign(const char *json, int size) {  // {"timestamp":1727712000,"message_id":"…","payload":…
  snprintf(text, sizeof text, "%s%.10s%.36s%.*s", id, json + 13, json + 38, size - 86, json + 86);
  unsigned char *mac = HMAC(EVP_sha256(), secret, strlen(secret), (void *)text, strlen(text), NULL, NULL);
  for (int i = 0; i < 32; i++) sprintf(hex + 2 * i, "%02x", mac[i]);
  return hex;
}
void receive(struct mosquitto *client, void *self, const struct mosquitto_message *got) {
  const char *json = got->payload;  // without ,"signature":"…"}: size
  int size = got->payloadlen - 80, genuine = size > 86 && !CRYPTO_memcmp(sign(json, size), json + size + 14, 64);
  if (strstr(got->topic, "/response")) dprintf(1, "answer: %.*s\n", got->payloadlen, json);
  else if (genuine && labs(time(NULL) - atol(json + 13)) <= 300) dprintf(1, "command: %.*s\n", size - 86, json + 86);
}
void report(struct mosquitto *client, void *self, int why) { fprintf(stderr, "disconnected: %s\n", mosquitto_strerror(why)); }
int main(int argc, char **argv) {
  FILE *own = fopen("secret", "r"), *random = fopen("/proc/sys/kernel/random/uuid", "r");
  if (argc < 4 || !own || !random || !fgets(secret, sizeof secret, own) || !fgets(uuid, sizeof uuid, random)) return fprintf(stderr, "Usage: device ID HOST PORT, in the device's folder, which has its secret\n"), 2;
  struct mosquitto *client = mosquitto_lib_init() ? NULL : mosquitto_new(id = argv[1], false, NULL);
  mosquitto_message_callback_set(client, receive), mosquitto_disconnect_callback_set(client, report);
  int error, size = sprintf(message, "{\"device_id\":\"%s\",\"timestamp\":%ld,\"message_id\":\"%s\",\"payload\":{\"temperature\":%.1f,\"humidity\":%d}", id, time(NULL), uuid, 22.5, 60);
  size += sprintf(message + size, ",\"signature\":\"%s\"}", sign(message + strlen(id) + 15, size - strlen(id) - 15));
  sprintf(topic, "device/%s/data", id), sprintf(topics, "device/%s/+", id);
  (error = mosquitto_tls_set(client, "ca.crt", NULL, "client.crt", "client.key", NULL)) || (error = mosquitto_connect(client, argv[2], atoi(argv[3]), 60)) ||
    (error = mosquitto_subscribe(client, NULL, topics, 1)) || (error = mosquitto_publish(client, NULL, topic, size, message, 1, false)) || (error = mosquitto_loop_forever(client, -1, 1));
  return fprintf(stderr, "%s port %s: %s\n", argv[2], argv[3], mosquitto_strerror(error)), 1;
}
