/**
 * Whether the backend's certificate can be trusted as the settings say: looked at when a gateway
 * starts, so that a wrong one is said then and not with the first reading.
 */

import { tlsFault } from "../../core/tls_fault.ts";

const WITHIN_MS = 5_000;

/** Where the backend is. */
interface TlsAddress {
  readonly url: string;
  /** PEM text of its authority; undefined: the system's authorities. */
  readonly ca: string | undefined;
  /** Behind one, the backend cannot be looked at. */
  readonly proxy: string | undefined;
}

/** What is wrong with its certificate; undefined if nothing is, or if that cannot be said. */
export async function backendTlsFault(
  { url, ca, proxy }: TlsAddress,
  stop: AbortSignal,
): Promise<string | undefined> {
  const { protocol, hostname: host, port } = new URL(url);
  if (protocol !== "https:" || proxy !== undefined) return undefined;
  const hostname = host.replace(/^\[|\]$/g, "");
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), WITHIN_MS);
  const signal = AbortSignal.any([stop, late.signal]);
  let open: { close(): void } | undefined;
  const end = () => {
    const ending = open;
    open = undefined;
    try {
      ending?.close();
    } catch {
      // it has ended
    }
  };
  signal.addEventListener("abort", end);
  try {
    const tcp = open = await Deno.connect({ hostname, port: Number(port || 443), signal });
    const trusted = ca === undefined ? {} : { caCerts: [ca] };
    const tls = open = await Deno.startTls(tcp, { hostname, ...trusted });
    await tls.handshake();
    return undefined;
  } catch (error) {
    return tlsFault((error as Error).message);
  } finally {
    clearTimeout(timer);
    end();
  }
}
