/* HMAC-SHA256 by BearSSL, for `siot_functions.hmac`: Arduino for ESP8266. Link with -lbearssl. */
#ifndef SIOT_BEARSSL_H
#define SIOT_BEARSSL_H

#include <bearssl.h>

#include "../secure_iot_device.h"

static int siot_bearssl_hmac(void *context, siot_span key, const siot_span *parts, size_t count,
                             uint8_t mac[32]) {
  br_hmac_key_context keyed;
  br_hmac_context hmac;
  size_t i;
  (void)context;
  br_hmac_key_init(&keyed, &br_sha256_vtable, key.bytes, key.size);
  br_hmac_init(&hmac, &keyed, 0);
  for (i = 0; i < count; i++) br_hmac_update(&hmac, parts[i].bytes, parts[i].size);
  br_hmac_out(&hmac, mac);
  return 0;
}

#endif
