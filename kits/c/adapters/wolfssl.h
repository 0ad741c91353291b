/* HMAC-SHA256 by wolfSSL, for `siot_functions.hmac`. Link with -lwolfssl. */
#ifndef SIOT_WOLFSSL_H
#define SIOT_WOLFSSL_H

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/hmac.h>

#include "../secure_iot_device.h"

static int siot_wolfssl_hmac(void *context, siot_span key, const siot_span *parts, size_t count,
                             uint8_t mac[32]) {
  Hmac hmac;
  size_t i;
  int fault = wc_HmacInit(&hmac, NULL, INVALID_DEVID);
  (void)context;
  if (fault) return fault;
  fault = wc_HmacSetKey(&hmac, WC_SHA256, (const byte *)key.bytes, (word32)key.size);
  for (i = 0; !fault && i < count; i++)
    fault = wc_HmacUpdate(&hmac, (const byte *)parts[i].bytes, (word32)parts[i].size);
  if (!fault) fault = wc_HmacFinal(&hmac, mac);
  wc_HmacFree(&hmac);
  return fault;
}

#endif
