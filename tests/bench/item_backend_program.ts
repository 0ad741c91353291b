/**
 * A backend in a process of its own: `deno run --allow-net item_backend_program.ts PORT DELAY_MS`.
 *
 * It takes readings one by one and in batches, says something of each item, and answers after so
 * many milliseconds. What it has seen is at GET /count, /requests, /most_at_once and /received.
 */

const BODY = { status: "received" };

const [port = "", delayMs = ""] = Deno.args;
const received: [atMs: number, messageId: string][] = [];
let requests = 0;
let underWay = 0;
let mostAtOnce = 0;

Deno.serve({ hostname: "127.0.0.1", port: Number(port), onListen }, async (request) => {
  const { pathname } = new URL(request.url);
  if (request.method === "POST") return await answer(request, pathname);
  if (pathname === "/count") return new Response(String(received.length));
  if (pathname === "/requests") return new Response(String(requests));
  if (pathname === "/most_at_once") return new Response(String(mostAtOnce));
  return Response.json(received);
});

function onListen(): void {
  console.log("listening");
}

async function answer(request: Request, pathname: string): Promise<Response> {
  requests++;
  mostAtOnce = Math.max(mostAtOnce, ++underWay);
  const isBatch = pathname === "/batch";
  const ids: string[] = isBatch
    ? (await request.json()).map((item: { message_id: string }) => item.message_id)
    : [request.headers.get("idempotency-key") ?? "-"];
  if (!isBatch) await request.bytes();
  if (Number(delayMs) > 0) await new Promise((resolve) => setTimeout(resolve, Number(delayMs)));
  underWay--;
  const atMs = performance.timeOrigin + performance.now();
  for (const id of ids) received.push([atMs, id]);
  if (!isBatch) return Response.json(BODY);
  return Response.json({
    items: ids.map((message_id) => ({ message_id, status: 200, body: BODY })),
  });
}
