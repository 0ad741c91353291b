/* What examples/device/zephyr uses of Zephyr, declared by hand, so that a compiler can read it; and
 * what its user writes as credentials.h. */
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/types.h>

#define CA_CRT ""
#define CLIENT_CRT ""
#define CLIENT_KEY ""
#define SECRET ""

#define ARG_UNUSED(x) (void)(x)
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define LOG_LEVEL_INF 3
#define LOG_MODULE_REGISTER(name, level) enum { log_level_##name = level }
#define LOG_INF(...) do { printf(__VA_ARGS__); } while (0)
#define LOG_WRN LOG_INF
#define LOG_ERR LOG_INF
typedef struct { int64_t ticks; } k_timeout_t;
#define K_SECONDS(s) ((k_timeout_t){s})
int64_t k_uptime_get(void);
int32_t k_sleep(k_timeout_t timeout);
#define SYS_REBOOT_COLD 1
void sys_reboot(int type) __attribute__((noreturn));
int sys_csrand_get(void *bytes, size_t size);

struct device;
struct flash_area { const struct device *fa_dev; off_t fa_off; size_t fa_size; };
struct flash_pages_info { off_t start_offset; size_t size; uint32_t index; };
#define FIXED_PARTITION_ID(label) 1
int flash_area_open(uint8_t id, const struct flash_area **area);
int flash_get_page_info_by_offs(const struct device *of, off_t offset, struct flash_pages_info *page);
struct nvs_fs {
  off_t offset;
  uint16_t sector_size, sector_count;
  const struct device *flash_device;
};
int nvs_mount(struct nvs_fs *fs);
ssize_t nvs_write(struct nvs_fs *fs, uint16_t id, const void *data, size_t size);
ssize_t nvs_read(struct nvs_fs *fs, uint16_t id, void *data, size_t room);
int nvs_delete(struct nvs_fs *fs, uint16_t id);

typedef int sec_tag_t;
enum tls_credential_type {
  TLS_CREDENTIAL_NONE, TLS_CREDENTIAL_CA_CERTIFICATE, TLS_CREDENTIAL_PUBLIC_CERTIFICATE,
  TLS_CREDENTIAL_PRIVATE_KEY
};
#define TLS_PEER_VERIFY_REQUIRED 2
int tls_credential_add(sec_tag_t tag, enum tls_credential_type type, const void *bytes, size_t size);
struct zsock_addrinfo {
  int ai_family, ai_socktype;
  socklen_t ai_addrlen;
  struct sockaddr *ai_addr;
};
struct zsock_pollfd { int fd; short events, revents; };
#define ZSOCK_POLLIN 1
int zsock_getaddrinfo(const char *host, const char *service, const struct zsock_addrinfo *hints,
                      struct zsock_addrinfo **found);
void zsock_freeaddrinfo(struct zsock_addrinfo *found);
int zsock_poll(struct zsock_pollfd *sockets, int count, int ms);

enum mqtt_evt_type { MQTT_EVT_CONNACK, MQTT_EVT_DISCONNECT, MQTT_EVT_PUBLISH, MQTT_EVT_SUBACK };
enum { MQTT_VERSION_3_1_1 = 4, MQTT_QOS_1_AT_LEAST_ONCE = 1, MQTT_TRANSPORT_SECURE = 1 };
struct mqtt_utf8 { const uint8_t *utf8; uint32_t size; };
struct mqtt_binstr { uint8_t *data; uint32_t len; };
struct mqtt_topic { struct mqtt_utf8 topic; uint8_t qos; };
struct mqtt_publish_param {
  struct { struct mqtt_topic topic; struct mqtt_binstr payload; } message;
  uint16_t message_id;
};
struct mqtt_puback_param { uint16_t message_id; };
struct mqtt_subscription_list { struct mqtt_topic *list; uint16_t list_count, message_id; };
struct mqtt_evt {
  enum mqtt_evt_type type;
  union { struct mqtt_publish_param publish; } param;
  int result;
};
struct mqtt_sec_config {
  int peer_verify;
  uint32_t sec_tag_count;
  const sec_tag_t *sec_tag_list;
  const char *hostname;
};
struct mqtt_client;
typedef void (*mqtt_evt_cb_t)(struct mqtt_client *client, const struct mqtt_evt *event);
struct mqtt_client {
  struct { int type; struct { int sock; struct mqtt_sec_config config; } tls; } transport;
  struct mqtt_utf8 client_id;
  const void *broker;
  mqtt_evt_cb_t evt_cb;
  uint8_t *rx_buf, *tx_buf;
  uint32_t rx_buf_size, tx_buf_size;
  uint8_t protocol_version, clean_session;
};
void mqtt_client_init(struct mqtt_client *client);
int mqtt_connect(struct mqtt_client *client);
int mqtt_abort(struct mqtt_client *client);
int mqtt_publish(struct mqtt_client *client, const struct mqtt_publish_param *packet);
int mqtt_publish_qos1_ack(struct mqtt_client *client, const struct mqtt_puback_param *packet);
int mqtt_subscribe(struct mqtt_client *client, const struct mqtt_subscription_list *list);
int mqtt_input(struct mqtt_client *client);
int mqtt_live(struct mqtt_client *client);
int mqtt_readall_publish_payload(struct mqtt_client *client, uint8_t *bytes, size_t size);
