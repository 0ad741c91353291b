// A device with the kit in C, from C++17, with Eclipse Paho and MQTT 5.
//
//   apt install gcc g++ libpaho-mqttpp-dev libpaho-mqtt-dev
//   gcc -x c -c -DSIOT_IMPLEMENTATION -DSIOT_BUILTIN_SHA256 kits/c/secure_iot_device.h -o kit.o
//   g++ -std=c++17 -I kits/c device.cpp kit.o -lpaho-mqttpp3 -lpaho-mqtt3as -o device
//   ./device devices/sensor_001
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include <mqtt/async_client.h>

#define SIOT_BUILTIN_SHA256
#include "secure_iot_device.h"

using namespace std::chrono_literals;
using std::string;

namespace {

// What outlives a power cut: the reading that nobody has answered, and the commands we have had.
struct Kept {
  uint32_t size;
  char id[SIOT_ID_SIZE], payload[600];
  siot_known known[100];

  static Kept *open(const string &path) {
    int file = ::open(path.c_str(), O_RDWR | O_CREAT, 0600);
    if (file < 0 || ftruncate(file, sizeof(Kept))) return nullptr;
    void *at = mmap(nullptr, sizeof(Kept), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    return at == MAP_FAILED ? nullptr : static_cast<Kept *>(at);
  }
  int written() { return msync(this, sizeof *this, MS_SYNC); }
  int append(const char *new_id, siot_span span) {
    if (size || span.size > sizeof payload) return -1;  // a queue of one
    memcpy(id, new_id, SIOT_ID_SIZE);
    memcpy(payload, span.bytes, span.size);
    if (written()) return -1;
    size = static_cast<uint32_t>(span.size);
    return written();
  }
  long front(char *to_id, char *to, size_t room) {
    if (size > room) return -1;
    memcpy(to_id, id, SIOT_ID_SIZE);
    memcpy(to, payload, size);
    return size;
  }
};

Kept &kept(void *context) { return *static_cast<Kept *>(context); }

const siot_functions functions = {
    siot_builtin_hmac, [](void *, uint8_t *bytes, size_t size) { return getentropy(bytes, size); },
    [](void *in, const char *id, siot_span payload) { return kept(in).append(id, payload); },
    [](void *in, char *id, char *payload, size_t room) { return kept(in).front(id, payload, room); },
    [](void *in) { kept(in).size = 0; return kept(in).written(); },
    [](void *in, size_t place, const siot_known *known) {
      kept(in).known[place] = *known;
      return kept(in).written();
    }};

uint32_t uptime() {
  return static_cast<uint32_t>(std::chrono::steady_clock::now().time_since_epoch() / 1s);
}

string text_of(siot_span span) { return {static_cast<const char *>(span.bytes), span.size}; }

[[noreturn]] void fail(const string &why) {
  std::cerr << why << std::endl;
  std::_Exit(1);  // rather end than act on what cannot be kept
}

class Sensor {
 public:
  explicit Sensor(const string &folder)
      : folder_(folder), about_(read("device.json")), secret_(read("secret")), id_(member("device_id")),
        client_(address(), member("client_id"), mqtt::create_options(MQTTVERSION_5)) {
    Kept *store = Kept::open(folder + "/kept.bin");
    if (!store) fail("cannot open kept.bin");
    device_.id = id_.c_str();
    device_.secret = {secret_.data(), secret_.size()};
    device_.functions = &functions;
    device_.context = store;
    device_.known = store->known;
    device_.known_places = 100;
    siot_clock(&device_, uptime(), static_cast<uint32_t>(time(nullptr)));  // leave it out without a clock
    if (!store->size && siot_enqueue(&device_, siot_text("{\"temperature\":22.5,\"humidity\":60}")))
      fail("cannot keep a reading");
    // Paho sends its PUBACK when this returns.
    client_.set_message_callback([this](mqtt::const_message_ptr message) {
      std::lock_guard<std::mutex> turn(turn_);
      take(*message);
    });
  }

  void run() {
    mqtt::ssl_options tls;
    tls.set_trust_store(folder_ + "/ca.crt");
    tls.set_key_store(folder_ + "/client.crt");
    tls.set_private_key(folder_ + "/client.key");
    mqtt::properties session{{mqtt::property::SESSION_EXPIRY_INTERVAL, 7 * 86400}};  // so long it keeps commands
    mqtt::connect_options options;  // not by connect_options_builder: Paho 1.2.0 loses the properties there
    options.set_mqtt_version(MQTTVERSION_5);
    options.set_clean_start(false);
    options.set_properties(session);
    options.set_ssl(tls);
    for (;; std::this_thread::sleep_for(1s)) try {
      client_.connect(options)->wait();
      for (const char *name : {"command", "receipt", "response"}) client_.subscribe(topic(name), 1)->wait();
      with_turn([this] { siot_connected(&device_, uptime()); });
      for (; client_.is_connected(); std::this_thread::sleep_for(200ms)) with_turn([this] { next(); });
    } catch (const mqtt::exception &error) {
      std::cerr << error.what() << std::endl;
    }
  }

 private:
  template <typename Work> void with_turn(Work work) {
    std::lock_guard<std::mutex> turn(turn_);
    work();
  }

  void next() {
    char message[1000];
    size_t size;
    if (siot_next(&device_, uptime(), message, sizeof message, &size) == SIOT_SEND)
      client_.publish(topic("data"), message, size, 1, false);
  }

  void take(const mqtt::message &message) {
    const string text = message.to_string();
    if (message.get_topic() == topic("command")) return obey(text);
    bool is_receipt = message.get_topic() == topic("receipt");
    siot_receipt_message receipt;
    siot_result result = is_receipt  // why a reading was refused, and our clock
        ? siot_receipt(&device_, uptime(), text.data(), text.size(), &receipt)
        : answered(message.get_properties(), text);
    if (result == SIOT_FAILED) fail("cannot keep what was answered");
    bool is_genuine = result == SIOT_OK || result == SIOT_OTHER;
    std::cout << (is_receipt ? "receipt" : "answer") << (is_genuine ? ": " : ", not signed with our secret: ")
              << (is_genuine && is_receipt ? text_of(receipt.payload) : text) << std::endl;
  }

  siot_result answered(const mqtt::properties &properties, const string &body) {
    std::map<string, string> pairs;
    for (size_t i = 0; i < properties.count(mqtt::property::USER_PROPERTY); i++) {
      auto [name, value] = mqtt::get<mqtt::string_pair>(properties, mqtt::property::USER_PROPERTY, i);
      pairs.emplace(name, value);
    }
    auto span = [&](const char *name) { return siot_span{pairs[name].data(), pairs[name].size()}; };
    siot_properties own{span("message_id"), span("status"), span("timestamp"), span("signature")};
    return siot_response(&device_, &own, {body.data(), body.size()});
  }

  void obey(const string &text) {
    siot_command_message command;
    siot_result result = siot_command(&device_, uptime(), text.data(), text.size(), &command);
    if (result == SIOT_FAILED) fail("cannot keep a command's id");
    if (result != SIOT_OK && result != SIOT_REPEATED) return;
    if (result == SIOT_OK) {  // its id is kept, so do it here: it does not happen twice
      std::cout << "command: " << text_of(command.payload) << std::endl;
      command.state = SIOT_DONE;
    } else if (command.state == SIOT_TAKEN) {  // a restart before we could say "done"
      command.state = SIOT_RECEIVED;
    }
    char word[1000];
    size_t size;
    if (siot_acknowledge(&device_, uptime(), command.message_id, command.state, {"", 0}, {"", 0}, word,
                         sizeof word, &size) == SIOT_SEND)
      client_.publish(topic("ack"), word, size, 1, false);
  }

  string read(const char *name) {
    std::ifstream file(folder_ + "/" + name, std::ios::binary);
    if (!file) fail(folder_ + "/" + name + " cannot be read");
    return {std::istreambuf_iterator<char>(file), {}};
  }
  string member(const char *name, string object = "") {
    if (object.empty()) object = about_;
    siot_span value;
    if (siot_member({object.data(), object.size()}, name, &value)) fail(string("device.json has no ") + name);
    string text = text_of(value);
    return text[0] == '"' ? text.substr(1, text.size() - 2) : text;
  }
  string address() {
    string broker = member("broker");
    return "ssl://" + member("host", broker) + ":" + member("port", broker);
  }
  string topic(const char *name) { return "device/" + id_ + "/" + name; }

  string folder_, about_, secret_, id_;
  siot_device device_{};
  std::mutex turn_;  // the kit is asked one thing after the other
  mqtt::async_client client_;
};

}  // namespace

int main(int argc, char **argv) {
  if (argc != 2) return std::cerr << "Usage: device FOLDER, as `device add` made it\n", 2;
  Sensor(argv[1]).run();
}
