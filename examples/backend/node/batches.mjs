// A backend that takes batches; it remembers ids in memory, yours should use its database.
import { createServer } from "node:http";

const port = process.argv[2];
const seen = new Set();

function take({ device_id, message_id, payload }) {
  const key = `${device_id} ${message_id}`;
  if (!seen.has(key)) console.log(`reading: ${device_id} ${JSON.stringify(payload)}`);
  seen.add(key);
  return { message_id, status: 200, body: { status: "received" } };
}

createServer(async (request, response) => {
  if (request.method !== "POST" || request.url !== "/batch") return response.writeHead(404).end();
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const items = JSON.parse(Buffer.concat(chunks)).map(take);
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ items }));
}).listen(Number(port), "127.0.0.1", () => console.log("listening"));
