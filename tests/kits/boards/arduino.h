/* What examples/device/arduino uses of the Arduino core for ESP32 and of PubSubClient, declared by
 * hand, so that a compiler can read it; and what its user writes as credentials.h. */
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>

#define CA_CRT ""
#define CLIENT_CRT ""
#define CLIENT_KEY ""
#define SECRET ""
#define WIFI_NAME ""
#define WIFI_PASSWORD ""

class String {
 public:
  String(const char *text = "");
  explicit String(unsigned long number);
  const char *c_str() const;
  friend String operator+(const String &one, const String &other);
};
String operator+(const String &one, const String &other);

struct SerialPort {
  void begin(unsigned long baud);
  size_t print(const char *text);
  size_t println(const char *text = "");
  size_t write(const uint8_t *bytes, size_t size);
  int printf(const char *form, ...);
};
extern SerialPort Serial;
struct EspClass { [[noreturn]] void restart(); };
extern EspClass ESP;
uint32_t millis();
void delay(uint32_t ms);
void esp_fill_random(void *bytes, size_t size);

enum wl_status_t { WL_IDLE_STATUS, WL_CONNECTED = 3 };
struct WiFiClass {
  wl_status_t begin(const char *name, const char *password);
  wl_status_t status();
};
extern WiFiClass WiFi;
struct Client {};
struct WiFiClientSecure : Client {
  void setCACert(const char *pem);
  void setCertificate(const char *pem);
  void setPrivateKey(const char *pem);
};

struct Preferences {
  bool begin(const char *name, bool isReadOnly = false);
  bool isKey(const char *key);
  bool remove(const char *key);
  size_t putBytes(const char *key, const void *value, size_t size);
  size_t getBytes(const char *key, void *value, size_t room);
};

struct PubSubClient {
  PubSubClient(Client &client);
  PubSubClient &setServer(const char *host, uint16_t port);
  PubSubClient &setCallback(void (*callback)(char *, uint8_t *, unsigned int));
  PubSubClient &setKeepAlive(uint16_t seconds);
  bool setBufferSize(uint16_t size);
  bool connect(const char *id, const char *user, const char *password, const char *willTopic,
               uint8_t willQos, bool willRetain, const char *willMessage, bool cleanSession);
  bool publish(const char *topic, const uint8_t *payload, unsigned int size);
  bool subscribe(const char *topic, uint8_t qos);
  bool loop();
  bool connected();
  int state();
};
