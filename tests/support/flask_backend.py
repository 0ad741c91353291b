"""A backend as one begins it with Flask: flask_backend.py PORT [slash] [http1.0]"""
import sys

from flask import Flask, request

port, *options = sys.argv[1:]
app = Flask(__name__)
slash = "/" if "slash" in options else ""
broken = set()


@app.post("/device/<device_id>/data" + slash)
def take(device_id):
    if device_id == "unread":
        return {"unread": True}
    key = request.headers["Idempotency-Key"]
    print("reading:", device_id, key, request.get_data(as_text=True), flush=True)
    if device_id == "broken" and key not in broken:
        broken.add(key)
        request.environ["werkzeug.socket"].shutdown(2)  # before the answer
    return {"taken": request.get_json()}


app.run(port=int(port), threaded="http1.0" not in options)
