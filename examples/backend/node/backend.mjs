// node backend.mjs 5000 https://localhost:8443 site/certs/gateway-ca.crt site/api.key
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { request } from "node:https";
import { argv } from "node:process";

const [, , port, gateway, caFile, keyFile] = argv;
const [ca, key] = [readFileSync(caFile), readFileSync(keyFile, "utf8").trim()];
const seen = new Set(); // yours is in a database, written in one transaction with the reading

function sendCommand(deviceId, command) {
  const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
  const options = { method: "POST", ca, headers };
  const sent = request(`${gateway}/command/${deviceId}`, options, (answer) => {
    console.log(`command: ${answer.statusCode}`);
    answer.resume();
  });
  sent.on("error", (error) => console.log(`command: ${error.message}`));
  sent.end(JSON.stringify(command));
}

createServer((incoming, answer) => {
  const [, deviceId] = /^\/device\/([^/]+)\/data$/.exec(incoming.url) ?? [];
  if (incoming.method !== "POST" || !deviceId) return answer.writeHead(404).end();
  let body = "";
  incoming.setEncoding("utf8").on("data", (chunk) => body += chunk).on("end", () => {
    const id = `${deviceId} ${incoming.headers["idempotency-key"]}`;
    if (!seen.has(id)) {
      seen.add(id);
      console.log(`reading: ${deviceId} ${body}`);
      if (JSON.parse(body)?.temperature > 30) sendCommand(deviceId, { fan: "on" });
    }
    answer.writeHead(200, { "content-type": "application/json" }).end('{"status":"received"}');
  });
}).listen(Number(port), "127.0.0.1", () => console.log("listening"));
