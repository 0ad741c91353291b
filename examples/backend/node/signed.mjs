// node signed.mjs 5000 backend.signing   (the second is the file of backend.signing_key_file)
import { createHmac, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
const [port, file] = process.argv.slice(2);
const texts = readFileSync(file, "utf8").match(/(?<=^whsec_)\S+/gm);
const keys = texts.map((text) => Buffer.from(text, "base64"));
const seen = new Set(); // yours is in a database, in one transaction with the reading
function isSigned({ headers }, body) {
  const { "webhook-id": id, "webhook-timestamp": time, "webhook-signature": given = "" } = headers;
  if (!(Math.abs(Date.now() / 1000 - Number(time)) <= 300)) return false;
  return keys.some((key) => {
    const right = createHmac("sha256", key).update(`${id}.${time}.`).update(body).digest("base64");
    return given.split(" ").some((one) =>
      one.length === right.length + 3 &&
      timingSafeEqual(Buffer.from(one), Buffer.from(`v1,${right}`))
    );
  });
}
createServer(async (request, response) => {
  let body = Buffer.alloc(0);
  for await (const chunk of request) body = Buffer.concat([body, chunk]);
  const answer = (status) => response.writeHead(status, { "content-length": 0 }).end();
  if (!isSigned(request, body)) return answer(401);
  const id = request.headers["webhook-id"]; // device and message
  if (!seen.has(id)) console.log(`reading: ${id.split(":")[0]} ${body}`);
  seen.add(id);
  answer(204);
}).listen(Number(port), "127.0.0.1", () => console.log("listening"));
