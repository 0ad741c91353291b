/* A device with the kit in C on Zephyr, with its own MQTT client and MQTT 3.1.1.
 *
 * What was compiled: this file with gcc, against headers that declare what it uses of Zephyr. It was
 * never built with Zephyr, and never run on a board; look at prj.conf with your version's names of
 * settings. The kit in it is compiled for Cortex-M, run on an emulated Cortex-M3, and held against
 * the other kits.
 */
#include <errno.h>
#include <string.h>

#include <zephyr/drivers/flash.h>
#include <zephyr/fs/nvs.h>
#include <zephyr/kernel.h>
#include <zephyr/logging/log.h>
#include <zephyr/net/mqtt.h>
#include <zephyr/net/socket.h>
#include <zephyr/net/tls_credentials.h>
#include <zephyr/random/random.h>
#include <zephyr/storage/flash_map.h>
#include <zephyr/sys/reboot.h>

#define SIOT_IMPLEMENTATION
#define SIOT_BUILTIN_SHA256
#include "secure_iot_device.h"
#include "credentials.h"

#define DEVICE_ID "sensor_001"        /* as in device.json */
#define BROKER_HOST "broker.example"  /* a name that is in the broker's certificate */
#define BROKER_PORT "8883"
#define TLS_TAG 1
#define CONNECT_SECONDS 10            /* until the broker has taken us in */
#define PLACES 100                    /* commands within your backend's longest TTL */
#define LONGEST 1000                  /* bytes of a message */
#define READING 1                     /* ids in the flash: the reading, and behind it the commands */
#define COMMANDS 2

LOG_MODULE_REGISTER(device, LOG_LEVEL_INF);

static struct nvs_fs flash;
static struct mqtt_client client;
static struct sockaddr_storage broker;
static uint8_t received[256], sent[LONGEST + 200];
static siot_known known[PLACES];
static siot_device device;
static bool is_connected, is_ready;
static uint16_t last_packet;

static uint32_t uptime(void) { return (uint32_t)(k_uptime_get() / 1000); }

static void restart(void) { /* rather begin again than act on what cannot be kept */
  sys_reboot(SYS_REBOOT_COLD);
}

/* ---- What outlives a power cut: NVS writes a value whole, or leaves the old one ----------------- */

static struct { char id[SIOT_ID_SIZE]; char payload[LONGEST - SIOT_OVERHEAD]; } reading; /* a queue of one */

static int append(void *context, const char id[SIOT_ID_SIZE], siot_span payload) {
  ARG_UNUSED(context);
  if (nvs_read(&flash, READING, &reading, sizeof reading) > 0 || payload.size > sizeof reading.payload) return -1;
  memcpy(reading.id, id, SIOT_ID_SIZE);
  memcpy(reading.payload, payload.bytes, payload.size);
  return nvs_write(&flash, READING, &reading, SIOT_ID_SIZE + payload.size) < 0 ? -1 : 0;
}

static long front(void *context, char id[SIOT_ID_SIZE], char *payload, size_t room) {
  ssize_t size = nvs_read(&flash, READING, &reading, sizeof reading);
  ARG_UNUSED(context);
  if (size == -ENOENT) return 0;
  if (size <= SIOT_ID_SIZE || (size_t)size - SIOT_ID_SIZE > room) return -1;
  memcpy(id, reading.id, SIOT_ID_SIZE);
  memcpy(payload, reading.payload, (size_t)size - SIOT_ID_SIZE);
  return (long)size - SIOT_ID_SIZE;
}

static int drop(void *context) {
  ARG_UNUSED(context);
  return nvs_delete(&flash, READING);
}

static int keep(void *context, size_t place, const siot_known *one) {
  ARG_UNUSED(context);
  return nvs_write(&flash, (uint16_t)(COMMANDS + place), one, sizeof *one) < 0 ? -1 : 0;
}

static int random_bytes(void *context, uint8_t *bytes, size_t size) {
  ARG_UNUSED(context);
  return sys_csrand_get(bytes, size);
}

static const siot_functions functions = {siot_builtin_hmac, random_bytes, append, front, drop, keep};

static int open_flash(void) {
  const struct flash_area *area;
  struct flash_pages_info page;
  if (flash_area_open(FIXED_PARTITION_ID(storage_partition), &area)) return -1;
  flash.flash_device = area->fa_dev;
  flash.offset = area->fa_off;
  if (flash_get_page_info_by_offs(flash.flash_device, flash.offset, &page)) return -1;
  flash.sector_size = page.size;
  flash.sector_count = area->fa_size / page.size;
  if (nvs_mount(&flash)) return -1;
  for (size_t place = 0; place < PLACES; place++) {
    ssize_t size = nvs_read(&flash, (uint16_t)(COMMANDS + place), &known[place], sizeof known[place]);
    if (size < 0 && size != -ENOENT) return -1;
  }
  return 0;
}

/* ---- Messages ---------------------------------------------------------------------------------- */

static struct mqtt_utf8 utf8(const char *text) {
  struct mqtt_utf8 is = {(const uint8_t *)text, strlen(text)};
  return is;
}

static void publish(const char *topic, char *message, size_t size) {
  struct mqtt_publish_param packet = {0};
  packet.message.topic.topic = utf8(topic);
  packet.message.topic.qos = MQTT_QOS_1_AT_LEAST_ONCE;
  packet.message.payload.data = (uint8_t *)message;
  packet.message.payload.len = size;
  packet.message_id = ++last_packet ? last_packet : ++last_packet;
  if (mqtt_publish(&client, &packet)) LOG_WRN("not sent: the kit sends it again");
}

static void obey(const char *text, size_t size) {
  static const siot_span nothing = {"", 0};
  static char word[LONGEST];
  siot_command_message command;
  siot_result result = siot_command(&device, uptime(), text, size, &command);
  if (result == SIOT_FAILED) restart();
  if (result != SIOT_OK && result != SIOT_REPEATED) return;
  if (result == SIOT_OK) { /* its id is kept, so do it here: it does not happen twice */
    LOG_INF("command: %.*s", (int)command.payload.size, (const char *)command.payload.bytes);
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
  if (result == SIOT_FAILED) restart();
  if (result == SIOT_OK || result == SIOT_OTHER)
    LOG_INF("receipt: %.*s", (int)receipt.payload.size, (const char *)receipt.payload.bytes);
  else
    LOG_ERR("receipt, not signed with our secret: %.*s", (int)size, text);
}

static void arrived(const struct mqtt_publish_param *packet) {
  static char topic[100], text[LONGEST];
  const struct mqtt_utf8 *name = &packet->message.topic.topic;
  size_t size = packet->message.payload.len, length = MIN(name->size, sizeof topic - 1);
  memcpy(topic, name->utf8, length);
  topic[length] = 0;
  for (size_t left = size; left > 0;) { /* what is too long is read, too, and dropped */
    size_t part = MIN(left, sizeof text);
    if (mqtt_readall_publish_payload(&client, (uint8_t *)text, part)) return;
    left -= part;
  }
  if (size <= sizeof text) {
    if (strstr(topic, "/command")) obey(text, size);
    else if (strstr(topic, "/receipt")) take_receipt(text, size);
    else LOG_INF("answer: %.*s", (int)size, text);
  }
  if (packet->message.topic.qos == MQTT_QOS_1_AT_LEAST_ONCE) {
    struct mqtt_puback_param done = {.message_id = packet->message_id};
    mqtt_publish_qos1_ack(&client, &done);
  }
}

static void on_event(struct mqtt_client *from, const struct mqtt_evt *event) {
  ARG_UNUSED(from);
  if (event->type == MQTT_EVT_CONNACK) {
    is_connected = event->result == 0;
  } else if (event->type == MQTT_EVT_SUBACK) {
    siot_connected(&device, uptime());
    is_ready = true;
  } else if (event->type == MQTT_EVT_DISCONNECT) {
    is_connected = is_ready = false;
  } else if (event->type == MQTT_EVT_PUBLISH) {
    arrived(&event->param.publish);
  }
}

static int subscribe(void) {
  struct mqtt_topic own[] = {{utf8("device/" DEVICE_ID "/command"), MQTT_QOS_1_AT_LEAST_ONCE},
                             {utf8("device/" DEVICE_ID "/receipt"), MQTT_QOS_1_AT_LEAST_ONCE},
                             {utf8("device/" DEVICE_ID "/response"), MQTT_QOS_1_AT_LEAST_ONCE}};
  struct mqtt_subscription_list list = {.list = own, .list_count = 3, .message_id = 1};
  return mqtt_subscribe(&client, &list);
}

/* ---- The connection ---------------------------------------------------------------------------- */

static int find_broker(void) {
  struct zsock_addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found;
  if (zsock_getaddrinfo(BROKER_HOST, BROKER_PORT, &hints, &found)) return -1;
  memcpy(&broker, found->ai_addr, found->ai_addrlen);
  zsock_freeaddrinfo(found);
  return 0;
}

static int connect_broker(void) {
  static const sec_tag_t tags[] = {TLS_TAG};
  struct mqtt_sec_config *tls = &client.transport.tls.config;
  if (find_broker()) return -1;
  mqtt_client_init(&client);
  client.broker = &broker;
  client.evt_cb = on_event;
  client.client_id = utf8(DEVICE_ID);
  client.protocol_version = MQTT_VERSION_3_1_1;
  client.clean_session = 0; /* the broker keeps commands for us */
  client.rx_buf = received;
  client.rx_buf_size = sizeof received;
  client.tx_buf = sent;
  client.tx_buf_size = sizeof sent;
  client.transport.type = MQTT_TRANSPORT_SECURE;
  tls->peer_verify = TLS_PEER_VERIFY_REQUIRED;
  tls->sec_tag_list = tags;
  tls->sec_tag_count = 1;
  tls->hostname = BROKER_HOST;
  return mqtt_connect(&client);
}

/* Waits at most so long for what comes, and deals with it. */
static int wait_for(int wait_ms) {
  struct zsock_pollfd socket = {.fd = client.transport.tls.sock, .events = ZSOCK_POLLIN};
  int fault = 0;
  if (zsock_poll(&socket, 1, wait_ms) > 0) fault = mqtt_input(&client);
  if (!fault) fault = mqtt_live(&client); /* the ping */
  return fault == -EAGAIN ? 0 : fault;
}

static void talk(void) {
  static char message[LONGEST];
  static uint32_t next_reading;
  bool has_subscribed = false;
  size_t size;
  for (uint32_t began = uptime(); is_connected || uptime() - began < CONNECT_SECONDS;) {
    if (wait_for(1000)) break;
    if (is_connected && !has_subscribed) has_subscribed = !subscribe();
    if (uptime() >= next_reading) { /* while one waits, `append` refuses the next: a queue of one */
      next_reading = uptime() + 60;
      siot_enqueue(&device, siot_text("{\"temperature\":22.5,\"humidity\":60}"));
    }
    if (is_ready && siot_next(&device, uptime(), message, sizeof message, &size) == SIOT_SEND)
      publish("device/" DEVICE_ID "/data", message, size);
  }
  mqtt_abort(&client);
  is_connected = is_ready = false;
}

int main(void) {
  if (open_flash()) restart();
  tls_credential_add(TLS_TAG, TLS_CREDENTIAL_CA_CERTIFICATE, CA_CRT, sizeof CA_CRT);
  tls_credential_add(TLS_TAG, TLS_CREDENTIAL_PUBLIC_CERTIFICATE, CLIENT_CRT, sizeof CLIENT_CRT);
  tls_credential_add(TLS_TAG, TLS_CREDENTIAL_PRIVATE_KEY, CLIENT_KEY, sizeof CLIENT_KEY);
  device.id = DEVICE_ID;
  device.secret = siot_text(SECRET);
  device.functions = &functions;
  device.known = known;
  device.known_places = PLACES; /* no clock: the first receipt brings it */
  for (;; k_sleep(K_SECONDS(5))) {
    int fault = connect_broker();
    if (fault) LOG_ERR("no connection: %d", fault);
    else talk();
  }
}
