/* A device with the kit in C on an ESP32, with ESP-IDF 5 and MQTT 3.1.1.
 *
 * What was compiled: this file with gcc, against headers that declare what it uses of ESP-IDF. It was
 * never built with ESP-IDF, and never run on a board. The kit in it is compiled for Cortex-M, run on
 * an emulated Cortex-M3, and held against the other kits.
 *
 *   idf.py menuconfig     Example Connection Configuration: the network's name and password
 *   idf.py flash monitor
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "esp_event.h"
#include "esp_log.h"
#include "esp_netif.h"
#include "esp_random.h"
#include "esp_timer.h"
#include "freertos/FreeRTOS.h"
#include "freertos/semphr.h"
#include "freertos/task.h"
#include "mqtt_client.h"
#include "nvs.h"
#include "nvs_flash.h"
#include "protocol_examples_common.h"

#define SIOT_IMPLEMENTATION
#define SIOT_BUILTIN_SHA256
#include "secure_iot_device.h"

#define DEVICE_ID "sensor_001"                /* as in device.json */
#define BROKER "mqtts://broker.example:8883"  /* by a name that is in the broker's certificate */
#define PLACES 100                            /* commands within your backend's longest TTL */
#define LONGEST 1000                          /* bytes of a message; MQTT's buffer is larger */

extern const char ca_crt[] asm("_binary_ca_crt_start");
extern const char client_crt[] asm("_binary_client_crt_start");
extern const char client_key[] asm("_binary_client_key_start");
extern const char secret_start[] asm("_binary_secret_start");
extern const char secret_end[] asm("_binary_secret_end");

static const char *const TAG = "device";
static nvs_handle_t flash;
static SemaphoreHandle_t turn; /* the kit is asked one thing after the other */
static esp_mqtt_client_handle_t client;
static siot_known known[PLACES];
static siot_device device;
static bool is_ready;

static uint32_t uptime(void) { return (uint32_t)(esp_timer_get_time() / 1000000); }

/* ---- What outlives a power cut: NVS writes a value whole, or leaves the old one ----------------- */

static struct { char id[SIOT_ID_SIZE]; char payload[LONGEST - SIOT_OVERHEAD]; } reading; /* a queue of one */

static int append(void *context, const char id[SIOT_ID_SIZE], siot_span payload) {
  size_t size = 0;
  (void)context;
  if (nvs_get_blob(flash, "reading", NULL, &size) == ESP_OK || payload.size > sizeof reading.payload) return -1;
  memcpy(reading.id, id, SIOT_ID_SIZE);
  memcpy(reading.payload, payload.bytes, payload.size);
  if (nvs_set_blob(flash, "reading", &reading, SIOT_ID_SIZE + payload.size) != ESP_OK) return -1;
  return nvs_commit(flash) == ESP_OK ? 0 : -1;
}

static long front(void *context, char id[SIOT_ID_SIZE], char *payload, size_t room) {
  size_t size = sizeof reading;
  esp_err_t fault = nvs_get_blob(flash, "reading", &reading, &size);
  (void)context;
  if (fault == ESP_ERR_NVS_NOT_FOUND) return 0;
  if (fault != ESP_OK || size <= SIOT_ID_SIZE || size - SIOT_ID_SIZE > room) return -1;
  memcpy(id, reading.id, SIOT_ID_SIZE);
  memcpy(payload, reading.payload, size - SIOT_ID_SIZE);
  return (long)(size - SIOT_ID_SIZE);
}

static int drop(void *context) {
  (void)context;
  return nvs_erase_key(flash, "reading") == ESP_OK && nvs_commit(flash) == ESP_OK ? 0 : -1;
}

static int keep(void *context, size_t place, const siot_known *one) {
  char key[16];
  (void)context;
  snprintf(key, sizeof key, "command%u", (unsigned)place);
  if (nvs_set_blob(flash, key, one, sizeof *one) != ESP_OK) return -1;
  return nvs_commit(flash) == ESP_OK ? 0 : -1;
}

static void read_commands(void) {
  for (size_t place = 0; place < PLACES; place++) {
    char key[16];
    size_t size = sizeof known[place];
    snprintf(key, sizeof key, "command%u", (unsigned)place);
    esp_err_t fault = nvs_get_blob(flash, key, &known[place], &size);
    if (fault != ESP_ERR_NVS_NOT_FOUND) ESP_ERROR_CHECK(fault);
  }
}

static int random_bytes(void *context, uint8_t *bytes, size_t size) {
  (void)context;
  esp_fill_random(bytes, size); /* true random once the radio is on: see app_main */
  return 0;
}

static const siot_functions functions = {siot_builtin_hmac, random_bytes, append, front, drop, keep};

/* ---- Messages ---------------------------------------------------------------------------------- */

static void publish(const char *topic, const char *message, size_t size) {
  esp_mqtt_client_enqueue(client, topic, message, (int)size, 1, 0, true);
}

static void obey(const char *text, size_t size) {
  static const siot_span nothing = {"", 0};
  static char word[LONGEST];
  siot_command_message command;
  siot_result result = siot_command(&device, uptime(), text, size, &command);
  if (result == SIOT_FAILED) abort(); /* rather begin again than act on what cannot be kept */
  if (result != SIOT_OK && result != SIOT_REPEATED) return;
  if (result == SIOT_OK) { /* its id is kept, so do it here: it does not happen twice */
    ESP_LOGI(TAG, "command: %.*s", (int)command.payload.size, (const char *)command.payload.bytes);
    command.state = SIOT_DONE;
  } else if (command.state == SIOT_TAKEN) { /* a restart before we could say "done" */
    command.state = SIOT_RECEIVED;
  }
  if (siot_acknowledge(&device, uptime(), command.message_id, command.state, nothing, nothing, word,
                       sizeof word, &size) == SIOT_SEND)
    publish("device/" DEVICE_ID "/ack", word, size);
}

/* Why a reading was refused, and our clock. */
static void take_receipt(const char *text, size_t size) {
  siot_receipt_message receipt;
  siot_result result = siot_receipt(&device, uptime(), text, size, &receipt);
  if (result == SIOT_FAILED) abort();
  if (result == SIOT_OK || result == SIOT_OTHER)
    ESP_LOGI(TAG, "receipt: %.*s", (int)receipt.payload.size, (const char *)receipt.payload.bytes);
  else
    ESP_LOGE(TAG, "receipt, not signed with our secret: %.*s", (int)size, text);
}

/* A message may come in parts; only the first one names the topic. */
static void arrived(const esp_mqtt_event_t *part) {
  static char topic[100], text[LONGEST];
  int end = part->current_data_offset + part->data_len;
  if (part->current_data_offset == 0)
    snprintf(topic, sizeof topic, "%.*s", part->topic_len, part->topic);
  if (part->total_data_len > LONGEST) return;
  memcpy(text + part->current_data_offset, part->data, (size_t)part->data_len);
  if (end < part->total_data_len) return;
  if (strstr(topic, "/command")) obey(text, (size_t)end);
  else if (strstr(topic, "/receipt")) take_receipt(text, (size_t)end);
  else ESP_LOGI(TAG, "answer: %.*s", end, text);
}

static void on_event(void *context, esp_event_base_t base, int32_t id, void *data) {
  static const esp_mqtt_topic_t own[] = {{"device/" DEVICE_ID "/command", 1},
                                         {"device/" DEVICE_ID "/receipt", 1},
                                         {"device/" DEVICE_ID "/response", 1}};
  const esp_mqtt_event_t *event = data;
  (void)context, (void)base;
  xSemaphoreTake(turn, portMAX_DELAY);
  if (id == MQTT_EVENT_CONNECTED) {
    esp_mqtt_client_subscribe_multiple(client, own, 3);
  } else if (id == MQTT_EVENT_SUBSCRIBED) {
    siot_connected(&device, uptime());
    is_ready = true;
  } else if (id == MQTT_EVENT_DISCONNECTED) {
    is_ready = false;
  } else if (id == MQTT_EVENT_DATA) {
    arrived(event);
  }
  xSemaphoreGive(turn);
}

static void start_mqtt(void) {
  const esp_mqtt_client_config_t how = {
      .broker.address.uri = BROKER,
      .broker.verification.certificate = ca_crt,
      .credentials.client_id = DEVICE_ID,
      .credentials.authentication.certificate = client_crt,
      .credentials.authentication.key = client_key,
      .session.disable_clean_session = true, /* the broker keeps commands for us */
      .session.keepalive = 60,
      .buffer.size = 1200,
  };
  client = esp_mqtt_client_init(&how);
  ESP_ERROR_CHECK(esp_mqtt_client_register_event(client, MQTT_EVENT_ANY, on_event, NULL));
  ESP_ERROR_CHECK(esp_mqtt_client_start(client));
}

void app_main(void) {
  static char message[LONGEST];
  size_t size;
  ESP_ERROR_CHECK(nvs_flash_init());
  ESP_ERROR_CHECK(nvs_open("device", NVS_READWRITE, &flash));
  ESP_ERROR_CHECK(esp_netif_init());
  ESP_ERROR_CHECK(esp_event_loop_create_default());
  ESP_ERROR_CHECK(example_connect());
  turn = xSemaphoreCreateMutex();
  read_commands();
  device.id = DEVICE_ID;
  device.secret.bytes = secret_start;
  device.secret.size = (size_t)(secret_end - secret_start);
  device.functions = &functions;
  device.known = known;
  device.known_places = PLACES; /* no clock: the first receipt brings it, or siot_clock from SNTP */
  start_mqtt();
  for (uint32_t next_reading = 0;; vTaskDelay(pdMS_TO_TICKS(1000))) {
    xSemaphoreTake(turn, portMAX_DELAY);
    if (uptime() >= next_reading) { /* while one waits, `append` refuses the next: a queue of one */
      next_reading = uptime() + 60;
      siot_enqueue(&device, siot_text("{\"temperature\":22.5,\"humidity\":60}"));
    }
    if (is_ready && siot_next(&device, uptime(), message, sizeof message, &size) == SIOT_SEND)
      publish("device/" DEVICE_ID "/data", message, size);
    xSemaphoreGive(turn);
  }
}
