/* HMAC-SHA256 by OpenSSL 3, for `siot_functions.hmac`, and its random bytes. Link with -lcrypto. */
#ifndef SIOT_OPENSSL_H
#define SIOT_OPENSSL_H

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include "../secure_iot_device.h"

static int siot_openssl_hmac(void *context, siot_span key, const siot_span *parts, size_t count,
                             uint8_t mac[32]) {
  char sha256[] = "SHA256";
  OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, sha256, 0), OSSL_PARAM_construct_end()};
  EVP_MAC *algorithm = EVP_MAC_fetch(NULL, "HMAC", NULL);
  EVP_MAC_CTX *hmac = EVP_MAC_CTX_new(algorithm);
  size_t size = 0, i;
  int done = hmac && EVP_MAC_init(hmac, (const unsigned char *)key.bytes, key.size, parameters);
  (void)context;
  for (i = 0; done && i < count; i++)
    done = EVP_MAC_update(hmac, (const unsigned char *)parts[i].bytes, parts[i].size);
  done = done && EVP_MAC_final(hmac, mac, &size, 32);
  EVP_MAC_CTX_free(hmac);
  EVP_MAC_free(algorithm);
  return done ? 0 : -1;
}

static int siot_openssl_random(void *context, uint8_t *bytes, size_t size) {
  (void)context;
  return RAND_bytes(bytes, (int)size) == 1 ? 0 : -1;
}

#endif
