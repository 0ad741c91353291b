/**
 * What the environment may say: overrides of settings, and nothing else.
 *
 * The rules are:
 * - a variable with the program's prefix is a setting, or a fault;
 * - but Kubernetes and Docker set variables of their own after the name of a service: if the service
 *   is named like the program, they have its prefix. Those are no fault; they are ignored;
 * - no variable leads a connection to a proxy.
 */

const PREFIX = "SECURE_IOT_GATEWAY_";

/** `{SERVICE}_SERVICE_HOST`, `{SERVICE}_PORT_8443_TCP_ADDR` and so on. */
const CONTAINER_NAME =
  /^(?:[A-Z0-9_]+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)$/;

/** `{SERVICE}_PORT` is also the name of settings; what they set there is a URL. */
const CONTAINER_PORT = /^(?:tcp|udp|sctp):\/\//;

/** Variables that the HTTP library reads. */
const PROXY_VARIABLES = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"]
  .flatMap((name) => [name, name.toLowerCase()]);

/** The TLS library writes the keys of each connection to the file that this one names. */
export const KEY_LOG_VARIABLE = "SSLKEYLOGFILE";

/** True for a variable that a container platform has set, not an operator. */
export function isOfContainerPlatform(name: string, value: string): boolean {
  if (!name.startsWith(PREFIX)) return false;
  const rest = name.slice(PREFIX.length);
  return CONTAINER_NAME.test(rest) || (/(^|_)PORT$/.test(rest) && CONTAINER_PORT.test(value));
}

/** No connection goes through a proxy of the environment: the HTTP library reads it for each client. */
export function forgetProxies(): void {
  for (const name of PROXY_VARIABLES) Deno.env.delete(name);
}
