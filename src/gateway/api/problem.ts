/** Errors of the API, as `application/problem+json` (RFC 9457). */

/** Every problem that the API answers with: its status, its title, and what to do about it. */
export const PROBLEMS = {
  "bad-host": [
    400,
    "The request names no host, or two",
    "Send the host once, as in Host: gateway.example:8443",
  ],
  "not-json": [400, "The body is not JSON", "Send one JSON text in UTF-8, nested at most 64 deep"],
  "bad-ttl": [400, "The TTL is wrong", "Send TTL once, in whole seconds"],
  "bad-idempotency-key": [
    400,
    "The Idempotency-Key is wrong",
    "Send it once, with 1 to 255 visible ASCII characters",
  ],
  "bad-query": [400, "The query is wrong", "GET /openapi.json has the parameters"],
  "unauthorized": [401, "The API key is missing or wrong", "Send Authorization: Bearer {api key}"],
  "not-permitted": [403, "This key may not do that", "Another kind of key may"],
  "cross-site": [
    403,
    "The request does not come from the page",
    "A session is good for requests from its own page only, and for those with an API key not needed",
  ],
  "unknown-device": [404, "No such device", "The registry does not know it, or has revoked it"],
  "unknown-command": [
    404,
    "No such command",
    "The device has none with this message_id, or it ended long ago",
  ],
  "unknown-dead-letter": [404, "No such dead letter", "It was retried or dropped, or never was"],
  "unknown-entry": [404, "No such entry in the outbox", "It is delivered, or a dead letter by now"],
  "unknown-rejection": [404, "No such rejection", "It is not kept any longer"],
  "not-found": [404, "No such path", "GET /openapi.json names those there are"],
  "method-not-allowed": [405, "No such method here", "The Allow field names those there are"],
  "timeout": [408, "The body did not come in time", "Send it faster"],
  "key-under-way": [
    409,
    "The same Idempotency-Key is being answered",
    "Send the request again after the time in Retry-After",
  ],
  "already-final": [409, "The command has ended", "Nothing more can be done about it"],
  "too-large": [413, "The body is too large", "A command has at most 65536 bytes"],
  "not-application-json": [415, "The content type is not JSON", "Send application/json"],
  "key-reused": [
    422,
    "The Idempotency-Key was used for another request",
    "Send another key, or the same device, body and TTL",
  ],
  "too-many-waiting": [
    429,
    "Too many commands wait",
    "Cancel some, or wait until their devices are back",
  ],
  "busy": [429, "A search is under way", "Wait for the time in Retry-After"],
  "too-many-watchers": [429, "Too many look at what happens", "Close another page or watch"],
  "too-many-wrong-keys": [429, "Too many wrong API keys", "Wait for the time in Retry-After"],
  "internal": [500, "The gateway failed", "Its log says more"],
  "broker-unavailable": [503, "The broker did not take the command", "Nothing was sent; try again"],
  "store-unavailable": [503, "The database cannot be written", "Nothing was sent; try again"],
  "not-ready": [503, "The gateway is not ready", "The detail says why"],
} as const satisfies Record<string, readonly [status: number, title: string, hint: string]>;

/** The name of a problem; its type ends in it. */
export type ProblemName = keyof typeof PROBLEMS;

/** The answer for a problem; `detail` replaces the general hint. */
export function problem(
  name: ProblemName,
  options: {
    detail?: string;
    headers?: Record<string, string>;
    /** RFC 9457 §3.2: extension members. */
    members?: Readonly<Record<string, unknown>>;
  } = {},
): Response {
  const [status, title, hint] = PROBLEMS[name];
  const type = `urn:secure-iot-gateway:problem:${name}`;
  const body = JSON.stringify({
    type,
    title,
    status,
    detail: options.detail ?? hint,
    ...options.members,
  });
  return new Response(body, {
    status,
    headers: { "content-type": "application/problem+json", ...options.headers },
  });
}
