/* Each adapter's HMAC beside the kit's own, over keys and parts of many sizes. */
#include <stdio.h>
#include <string.h>

#define SIOT_IMPLEMENTATION
#define SIOT_BUILTIN_SHA256
#include "adapters/bearssl.h"
#include "adapters/mbedtls.h"
#include "adapters/openssl.h"
#include "adapters/wolfssl.h"

typedef int (*hmac_function)(void *, siot_span, const siot_span *, size_t, uint8_t *);

int main(void) {
  static const hmac_function others[] = {siot_openssl_hmac, siot_mbedtls_hmac, siot_wolfssl_hmac,
                                         siot_bearssl_hmac};
  static const char *const names[] = {"OpenSSL", "mbedTLS", "wolfSSL", "BearSSL"};
  static uint8_t text[700];
  uint8_t random[16] = {0};
  int compared = 0;
  for (size_t i = 0; i < sizeof text; i++) text[i] = (uint8_t)(i * 31 + 7);
  if (siot_openssl_random(NULL, random, sizeof random)) return 2;
  for (size_t key_size = 1; key_size < 200; key_size += 9) {
    for (size_t size = 0; size < 330; size += 11) {
      siot_span key = {text, key_size}, parts[3];
      uint8_t own[32];
      for (size_t part = 0; part < 3; part++) {
        parts[part].bytes = text + 5 * part;
        parts[part].size = part == 1 ? 0 : size;
      }
      siot_builtin_hmac(NULL, key, parts, 3, own);
      for (size_t i = 0; i < 4; i++) {
        uint8_t mac[32] = {0};
        if (others[i](NULL, key, parts, 3, mac) || memcmp(mac, own, 32))
          return fprintf(stderr, "%s differs: key %zu, text %zu\n", names[i], key_size, size), 1;
        compared++;
      }
    }
  }
  return printf("%d alike\n", compared) < 0;
}
