// gcc device.c -lmosquitto -lcrypto -o device; cd devices/sensor_001; device sensor_001 localhost 8883
#include <mosquitto.h>
#include <openssl/hmac.h>  // and with it stdio.h, stdlib.h and time.h
#include <string.h>
char *id, secret[1025], text[70000], hex[65];
char *sign(long timestamp, const char *uuid, const char *payload, int length) {
  int size = snprintf(text, sizeof text, "%s%ld%.36s%.*s", id, timestamp, uuid, length, payload);
  unsigned char *mac = HMAC(EVP_sha256(), secret, strlen(secret), (void *)text, size, NULL, NULL);
  for (int i = 0; i < 32; i++) sprintf(hex + 2 * i, "%02x", mac[i]);
  return hex;
}
void receive(struct mosquitto *client, void *self, const struct mosquitto_message *got) {
  char *message = got->payload, *payload = message + 86, *end = message + got->payloadlen - 80;
  if (strstr(got->topic, "/response")) dprintf(1, "answer: %.*s\n", got->payloadlen, message);
  else if (end > payload && end - payload <= 65536 && labs(time(NULL) - atol(message + 13)) <= 300 &&
           !CRYPTO_memcmp(sign(atol(message + 13), message + 38, payload, end - payload), end + 14, 64))
    dprintf(1, "command: %.*s\n", (int)(end - payload), payload);
}
int main(int argc, char **argv) {
  char topic[99], uuid[37], message[999], payload[] = "{\"temperature\":22.5,\"humidity\":60}";
  ...
}
