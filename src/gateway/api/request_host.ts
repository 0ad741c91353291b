/**
 * Whether a request names one host (RFC 9112 §3.2).
 *
 * The server builds the URL from the first of these that is there: the whole address in the request
 * line (HTTP/2: `:authority`), the Host field, its own local address. It shows neither the request
 * line nor the version, so the URL has to tell them apart. What it cannot: HTTP/1.0, which may leave
 * out the Host field, from 1.1, which may not; and a whole address alone from HTTP/2.
 */

const HOST = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~-]+)(:[0-9]{1,5})?$/;

/** True if the URL's host is one, and the Host field, if there is one, is the same. */
export function namesOneHost(request: Request): boolean {
  const host = request.headers.get("host");
  const authority = authorityOf(request);
  return HOST.test(authority) && (host === null || host === authority);
}

/**
 * True if the client has named no host, and the URL has the server's own address. A balancer that asks
 * how a gateway is may: HAProxy does by HTTP/1.0, and the answer is the same for every host.
 */
export function lacksHost(request: Request, localPort: number): boolean {
  const isNamed = request.headers.has("host") || authorityOf(request) !== `localhost:${localPort}`;
  return !isNamed && !/^https?:\/\/[^/]*\/(healthz|readyz)$/.test(request.url);
}

function authorityOf({ url }: Request): string {
  return /^https?:\/\/([^/]*)\//.exec(url)?.[1] ?? "";
}
