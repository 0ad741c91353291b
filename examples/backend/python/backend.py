# python3 backend.py 5000 https://localhost:8443 site/certs/gateway-ca.crt site/api.key
import json, re, ssl, sys, threading, urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
port, gateway, ca_file, key_file = sys.argv[1:]
tls, key = ssl.create_default_context(cafile=ca_file), open(key_file).read().strip()
seen, lock = set(), threading.Lock()  # yours is in a database, in one transaction with the reading
def send_command(device_id, command):
    headers = {"Authorization": "Bearer " + key, "Content-Type": "application/json"}
    url, body = gateway + "/command/" + device_id, json.dumps(command).encode()
    try:
        request = urllib.request.Request(url, body, headers, method="POST")
        with urllib.request.urlopen(request, context=tls, timeout=10) as answer:
            print("command:", answer.status, flush=True)
    except OSError as error:
        print("command:", error, flush=True)
class Backend(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        device = re.fullmatch("/device/([^/]+)/data", self.path)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not device:
            return self.send_error(404)
        message = (device[1], self.headers["Idempotency-Key"])
        with lock:
            new = message not in seen
            seen.add(message)
        if new:
            print("reading:", device[1], body.decode(), flush=True)
            reading = json.loads(body)
            if isinstance(reading, dict) and reading.get("temperature", 0) > 30:
                threading.Thread(target=send_command, args=(device[1], {"fan": "on"})).start()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "21")
        self.end_headers()
        self.wfile.write(b'{"status":"received"}')
server = ThreadingHTTPServer(("127.0.0.1", int(port)), Backend)
print("listening", flush=True)
server.serve_forever()
