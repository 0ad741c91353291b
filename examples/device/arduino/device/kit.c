/* The kit, which is C; the sketch is C++. */
#define SIOT_IMPLEMENTATION
#define SIOT_BUILTIN_SHA256
#include "secure_iot_device.h"
