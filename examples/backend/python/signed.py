# python3 signed.py 5000 backend.signing   (the second is the file of backend.signing_key_file)
import base64, hmac, re, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
port, file = sys.argv[1:]
keys = [base64.b64decode(key) for key in re.findall(r"^whsec_(\S+)", open(file).read(), re.M)]
seen = set()  # yours is in a database, in one transaction with the reading
def is_signed(headers, body):
    id, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "0")
    if not stamp.isdigit() or abs(time.time() - int(stamp)) > 300:
        return False
    given, text = headers.get("webhook-signature", "").split(), f"{id}.{stamp}.".encode() + body
    right = ["v1," + base64.b64encode(hmac.digest(key, text, "sha256")).decode() for key in keys]
    return any(hmac.compare_digest(one.encode(), other.encode()) for one in given for other in right)
class Backend(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        signed, id = is_signed(self.headers, body), self.headers.get("webhook-id", "")
        if signed and id not in seen:
            seen.add(id)  # device and message
            print("reading:", id.split(":")[0], body.decode(), flush=True)
        self.send_response(204 if signed else 401)
        self.send_header("Content-Length", "0")
        self.end_headers()
server = ThreadingHTTPServer(("127.0.0.1", int(port)), Backend)
print("listening", flush=True)
server.serve_forever()
