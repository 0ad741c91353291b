// A device in Go with paho, MQTT 3.1.1, by hand: the standard library has all that is signed with.
//
//	apt install golang-go golang-github-eclipse-paho.mqtt.golang-dev
//	GO111MODULE=off GOPATH=/usr/share/gocode go build device.go && ./device devices/sensor_001
//
// Without MQTT 5 an answer does not say which reading it answers; the receipt does. Where the gateway
// sends none for what is delivered (receipts.send = "all"), the second copy is told "replayed".
package main

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

type reading struct{ ID, Payload string }

var (
	folder string
	about  struct {
		Device_id, Client_id string
		Broker               struct {
			Host string
			Port int
		}
		Topics map[string]string
	}
	secret []byte
	kept   struct { // what outlives a power cut
		Reading *reading          // nobody has answered it yet
		Words   map[string]string // of each command: what we said of it
	}
	ahead  int64     // the gateway's clock minus ours, seconds
	set    time.Time // when a receipt set it
	ready  bool
	wait   time.Duration // before the reading goes again
	due    time.Time
	signed int64 // when the reading was last signed, by the gateway's clock; 0: not yet
	lock   sync.Mutex
	form   = regexp.MustCompile(`(?s)^{"timestamp":(\d{10}),"message_id":"(.{36})","payload":(.*),"signature":"(.{64})"}$`)
)

func must(err error) {
	if err != nil {
		log.Fatal(err) // rather end than act on what cannot be kept
	}
}

func read(name string) []byte {
	bytes, err := os.ReadFile(folder + "/" + name)
	must(err)
	return bytes
}

func keep() {
	bytes, _ := json.Marshal(kept)
	file, err := os.Create(folder + "/kept.json.new")
	must(err)
	_, err = file.Write(bytes)
	must(err)
	must(file.Sync())
	must(file.Close())
	must(os.Rename(folder+"/kept.json.new", folder+"/kept.json"))
}

func now() int64 { return time.Now().Unix() + ahead }

func sign(kind, timestamp, id, payload string) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(kind + about.Device_id + timestamp + id + payload))
	return hex.EncodeToString(mac.Sum(nil))
}

func publish(client mqtt.Client, kind, topic string, seconds int64, id, payload string) {
	timestamp := strconv.FormatInt(seconds, 10)
	client.Publish(about.Topics[topic], 1, false, fmt.Sprintf(
		`{"device_id":"%s","timestamp":%s,"message_id":"%s","payload":%s,"signature":"%s"}`,
		about.Device_id, timestamp, id, payload, sign(kind, timestamp, id, payload)))
}

// An id of ours ends in a code over its random part: a reading that somebody sends back to us as a
// command, signed like one, is known by it.
func code(random []byte) []byte {
	mac := hmac.New(sha256.New, secret)
	mac.Write(append([]byte("id:"), random...))
	return mac.Sum(nil)[:6]
}

// A new id; the reading keeps it, whenever it is signed.
func newID() string {
	id := make([]byte, 16)
	_, err := rand.Read(id[:10])
	must(err)
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	copy(id[10:], code(id[:10]))
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}

// Sends what nobody has answered: the same bytes while they are in range, then signed again.
func next(client mqtt.Client) {
	if kept.Reading == nil || time.Now().Before(due) {
		return
	}
	if now()-signed > 270 || signed > now() {
		signed = now()
	}
	publish(client, "", "data", signed, kept.Reading.ID, kept.Reading.Payload)
	due = time.Now().Add(wait)
	if wait *= 2; wait > 15*time.Minute {
		wait = 15 * time.Minute
	}
}

func obey(client mqtt.Client, timestamp int64, id, payload string) {
	raw, err := hex.DecodeString(strings.ReplaceAll(id, "-", ""))
	if err != nil || len(raw) != 16 || hmac.Equal(raw[10:], code(raw[:10])) {
		return
	}
	if _, isCopy := kept.Words[id]; !isCopy {
		if apart := now() - timestamp; apart > 300 || apart < -300 {
			return
		}
		kept.Words[id] = `{"state":"received"}`
		keep() // first: a restart in between does not do it twice
		fmt.Println("command:", payload)
		kept.Words[id] = `{"state":"done"}`
		keep()
	}
	publish(client, "ack:", "ack", now(), id, kept.Words[id])
}

func follow(timestamp int64, id, payload string) {
	var said struct{ Result, Code string }
	json.Unmarshal([]byte(payload), &said)
	if kept.Reading == nil || id != kept.Reading.ID {
		return
	}
	switch {
	case said.Result == "delivered" || said.Result == "dead" || said.Code == "replayed":
		kept.Reading = nil
		keep()
	case said.Code == "timestamp_out_of_range" && time.Since(set) > time.Minute:
		ahead, set = timestamp-time.Now().Unix(), time.Now()
		signed, due = 0, time.Now() // at once, signed again
	case said.Code != "timestamp_out_of_range" && said.Code != "rate_limited":
		due = time.Now().Add(time.Hour) // the secret or the firmware is wrong
	}
}

func arrived(client mqtt.Client, message mqtt.Message) { // paho sends its PUBACK when this returns
	lock.Lock()
	defer lock.Unlock()
	text := string(message.Payload())
	if message.Topic() == about.Topics["response"] {
		fmt.Println("answer:", text)
		return
	}
	kind := ""
	if message.Topic() == about.Topics["receipt"] {
		kind = "receipt:"
	}
	parts := form.FindStringSubmatch(text)
	if parts == nil || !hmac.Equal([]byte(parts[4]), []byte(sign(kind, parts[1], parts[2], parts[3]))) {
		if kind != "" {
			fmt.Println("receipt, not signed with our secret:", text)
		}
		return
	}
	timestamp, _ := strconv.ParseInt(parts[1], 10, 64)
	if kind == "" {
		obey(client, timestamp, parts[2], parts[3])
		return
	}
	fmt.Println("receipt:", parts[3])
	follow(timestamp, parts[2], parts[3])
}

func main() {
	folder = os.Args[1]
	must(json.Unmarshal(read("device.json"), &about))
	secret = read("secret")
	if _, err := os.Stat(folder + "/kept.json"); err == nil {
		must(json.Unmarshal(read("kept.json"), &kept))
	}
	if kept.Words == nil {
		kept.Words = map[string]string{} // a real one forgets what is older than its backend's longest TTL
	}
	if kept.Reading == nil {
		kept.Reading = &reading{newID(), `{"temperature":22.5,"humidity":60}`}
		keep()
	}
	pair, err := tls.LoadX509KeyPair(folder+"/client.crt", folder+"/client.key")
	must(err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(read("ca.crt"))
	options := mqtt.NewClientOptions().SetClientID(about.Client_id).SetCleanSession(false)
	options.AddBroker(fmt.Sprintf("ssl://%s:%d", about.Broker.Host, about.Broker.Port))
	options.SetTLSConfig(&tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots})
	options.SetDefaultPublishHandler(arrived)
	options.SetOnConnectHandler(func(client mqtt.Client) {
		own := map[string]byte{about.Topics["command"]: 1, about.Topics["receipt"]: 1, about.Topics["response"]: 1}
		if client.SubscribeMultiple(own, nil).Wait() {
			lock.Lock()
			ready, wait, due = true, 30*time.Second, time.Now()
			lock.Unlock()
		}
	})
	options.SetConnectionLostHandler(func(_ mqtt.Client, err error) {
		log.Print(err)
		lock.Lock()
		ready = false
		lock.Unlock()
	})
	client := mqtt.NewClient(options)
	for token := client.Connect(); token.Wait() && token.Error() != nil; token = client.Connect() {
		log.Print(token.Error())
		time.Sleep(time.Second)
	}
	for range time.Tick(200 * time.Millisecond) {
		lock.Lock()
		if ready {
			next(client)
		}
		lock.Unlock()
	}
}
