#include <fcntl.h>         // gcc device.c -lmosquitto -lcrypto -o device
#include <mosquitto.h>     // in the folder devices/sensor_001: device sensor_001 localhost 8883
#include <openssl/hmac.h>  // which brings stdio.h, stdlib.h and time.h
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
char *id, secret[1025], uuid[37], topic[99], message[999], text[70000], hex[65];
struct { unsigned count; struct { char id[36], done; } last[100]; } *kept;  // the last commands, in the file commands.bin
char *sign(const char *kind, const char *json, int size) {  // {"timestamp":1727712000,"message_id":"…","payload":…
  snprintf(text, sizeof text, "%s%s%.10s%.36s%.*s", kind, id, json + 13, json + 38, size - 86, json + 86);
  unsigned char *mac = HMAC(EVP_sha256(), secret, strlen(secret), (void *)text, strlen(text), NULL, NULL);
  for (int i = 0; i < 32; i++) sprintf(hex + 2 * i, "%02x", mac[i]);
  return hex;
}
int publish(struct mosquitto *client, const char *kind, const char *name, const char *uuid, const char *payload) {
  int size = sprintf(message, "{\"device_id\":\"%s\",\"timestamp\":%ld,\"message_id\":\"%.36s\",\"payload\":%s", id, time(NULL), uuid, payload);
  size += sprintf(message + size, ",\"signature\":\"%s\"}", sign(kind, message + strlen(id) + 15, size - strlen(id) - 15));
  sprintf(topic, "device/%s/%s", id, name);
  return mosquitto_publish(client, NULL, topic, size, message, 1, false);
}
void obey(struct mosquitto *client, const char *uuid, const char *command, int size) {
  int at = 0;
  while (at < 100 && memcmp(kept->last[at].id, uuid, 36)) at++;
  if (at == 100) {  // a second copy is not done, but acknowledged again
    at = kept->count++ % 100, kept->last[at].done = 0, memcpy(kept->last[at].id, uuid, 36);
    if (msync(kept, sizeof *kept, MS_SYNC)) exit(1);  // first: a restart in between does not do it twice
    dprintf(1, "command: %.*s\n", size, command);
    kept->last[at].done = 1, msync(kept, sizeof *kept, MS_SYNC);
  }
  publish(client, "ack:", "ack", uuid, kept->last[at].done ? "{\"state\":\"done\"}" : "{\"state\":\"received\"}");
}
void receive(struct mosquitto *client, void *self, const struct mosquitto_message *got) {
  const char *json = got->payload;  // without ,"signature":"…"}: size
  int size = got->payloadlen - 80, genuine = size > 86 && !CRYPTO_memcmp(sign("", json, size), json + size + 14, 64);
  if (strstr(got->topic, "/response")) dprintf(1, "answer: %.*s\n", got->payloadlen, json);
  else if (genuine && labs(time(NULL) - atol(json + 13)) <= 300) obey(client, json + 38, json + 86, size - 86);
}
void report(struct mosquitto *client, void *self, int why) { fprintf(stderr, "disconnected: %s\n", mosquitto_strerror(why)); }
int main(int argc, char **argv) {
  FILE *own = fopen("secret", "r"), *random = fopen("/proc/sys/kernel/random/uuid", "r");
  if (argc < 4 || !own || !random || !fgets(secret, sizeof secret, own) || !fgets(uuid, sizeof uuid, random)) return fprintf(stderr, "Usage: device ID HOST PORT, in the device's folder, which has its secret\n"), 2;
  int error, file = open("commands.bin", O_RDWR | O_CREAT, 0600);
  kept = ftruncate(file, sizeof *kept) ? MAP_FAILED : mmap(NULL, sizeof *kept, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (kept == MAP_FAILED) return perror("commands.bin"), 1;
  struct mosquitto *client = mosquitto_lib_init() ? NULL : mosquitto_new(id = argv[1], false, NULL);
  mosquitto_message_callback_set(client, receive), mosquitto_disconnect_callback_set(client, report), sprintf(topic, "device/%s/+", id);
  (error = mosquitto_tls_set(client, "ca.crt", NULL, "client.crt", "client.key", NULL)) || (error = mosquitto_connect(client, argv[2], atoi(argv[3]), 60)) ||
    (error = mosquitto_subscribe(client, NULL, topic, 1)) || (error = publish(client, "", "data", uuid, "{\"temperature\":22.5,\"humidity\":60}")) || (error = mosquitto_loop_forever(client, -1, 1));
  return fprintf(stderr, "%s port %s: %s\n", argv[2], argv[3], mosquitto_strerror(error)), 1;
}
