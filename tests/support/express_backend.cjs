// A backend as one begins it with Express: node express_backend.cjs PORT [slash]
const express = require("express");

const [port, ...options] = process.argv.slice(2);
const app = express();
app.enable("strict routing");
const path = `/device/:id/data${options.includes("slash") ? "/" : ""}`;
const broken = new Set();

app.post("/device/unread/data", (_, response) => void response.send("unread"));
app.post("/device/closed/data", (request, response, next) => {
  response.on("finish", () => setTimeout(() => request.socket.destroy(), 20)); // unsaid
  next();
});
app.post("/device/strict/data", express.json());
app.use(express.json({ strict: false, limit: "1mb" }));

app.post(path, (request, response) => {
  const key = request.get("Idempotency-Key");
  const { id } = request.params;
  console.log(`reading: ${id} ${key} ${JSON.stringify(request.body)}`);
  if (id === "broken" && !broken.has(key)) {
    broken.add(key);
    return request.socket.destroy(); // before the answer
  }
  response.json({ taken: request.body });
});

app.listen(Number(port), "127.0.0.1");
