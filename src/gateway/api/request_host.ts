/**
 * Whether a request names one host (RFC 9112 §3.2).
 *
 * The server builds the URL from the first of these that is there: the whole address in the request
 * line (HTTP/2: `:authority`), the Host field, its own local address. It shows neither the request
 * line nor the version, so the URL has to tell them apart. What it cannot: HTTP/1.0, which may leave
 * out the Host field, from 1.1, which may not; and a whole address alone from HTTP/2.
 */

const HOST = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~-]+)(:[0-9]{1,5})?$/;

/** True if the URL's host is one, the client has named it, and its Host field is the same. */
export function namesOneHost(request: Request, localPort: number): boolean {
  const authority = /^https?:\/\/([^/]*)\//.exec(request.url)?.[1] ?? "";
  const host = request.headers.get("host");
  if (host === null && authority === `localhost:${localPort}`) return false; // the server's own
  return HOST.test(authority) && (host === null || host === authority);
}
