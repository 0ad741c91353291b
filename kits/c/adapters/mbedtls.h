/* HMAC-SHA256 by mbedTLS, for `siot_functions.hmac`: ESP-IDF, Zephyr, Arduino for ESP32. */
#ifndef SIOT_MBEDTLS_H
#define SIOT_MBEDTLS_H

#include <mbedtls/md.h>

#include "../secure_iot_device.h"

static int siot_mbedtls_hmac(void *context, siot_span key, const siot_span *parts, size_t count,
                             uint8_t mac[32]) {
  mbedtls_md_context_t hmac;
  size_t i;
  int fault;
  (void)context;
  mbedtls_md_init(&hmac);
  fault = mbedtls_md_setup(&hmac, mbedtls_md_info_from_type(MBEDTLS_MD_SHA256), 1);
  if (!fault) fault = mbedtls_md_hmac_starts(&hmac, (const unsigned char *)key.bytes, key.size);
  for (i = 0; !fault && i < count; i++)
    fault = mbedtls_md_hmac_update(&hmac, (const unsigned char *)parts[i].bytes, parts[i].size);
  if (!fault) fault = mbedtls_md_hmac_finish(&hmac, mac);
  mbedtls_md_free(&hmac);
  return fault;
}

#endif
