/**
 * Broker and gateway are told of a new certificate, and it is looked at what they show.
 *
 * The rules are:
 * - they are told by SIGHUP, so that connections stay: Mosquitto reads its certificates again with
 *   its lists, the gateway all that its settings name;
 * - a reload reads the broker's lists as well, so they are looked at first, and it is proved
 *   afterwards that devices are still apart;
 * - shown is what a client sees that trusts the authority and checks the name.
 */

import { isIP } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { reachableHost } from "../../config/listen_address.ts";
import { readText } from "../../config/operator_file.ts";
import { exists } from "../exists.ts";
import type { CredentialPaths, SiteLayout } from "../layout.ts";
import { connectError, isListening } from "../mosquitto/access_probe.ts";
import { brokerPid, reloadBroker } from "../mosquitto/reload.ts";
import { type IssuedCertificate, openCertificate, revokedBy } from "../pki/authority.ts";
import { identityOf } from "../pki/certificate_view.ts";
import { certificatesOf, openIssuingAuthority } from "../pki/device_authorities.ts";
import { untilServed } from "../served_certificate.ts";
import { lockHolder } from "../site_lock.ts";
import { type BrokerAccess, type OpenSite, readBrokerAccess } from "./broker_access.ts";
import { checkAccessLists } from "./broker_lists.ts";
import { accessOf, probeName } from "./broker_probe.ts";
import { EnforcementError } from "./enforcement_error.ts";
import { RenewError, type RenewFault, type RenewTarget } from "./renew_fault.ts";
import { requireApart, type RevocationStep } from "./revocation.ts";

/** What the gateway says of itself: undefined if it cannot be asked. */
export type GatewayView = () => Promise<
  { readonly brokerCertificate: string; readonly isConnected: boolean } | undefined
>;

/** One thing that was seen of a server. */
export type ServedStep =
  | { readonly kind: "broker_not_running" }
  | { readonly kind: "gateway_not_running" }
  | { readonly kind: "gateway_reloaded"; readonly pid: number }
  /** The broker or the API shows the new one there. */
  | {
    readonly kind: "certificate_served";
    readonly by: RenewTarget;
    readonly host: string;
    readonly port: number;
  }
  /** The gateway is connected to the broker with the new one. */
  | { readonly kind: "certificate_used" }
  /** There is no broker that it could be connected to. */
  | { readonly kind: "gateway_not_connected" }
  /** It could not be asked which one it uses. */
  | { readonly kind: "gateway_not_asked" }
  | Extract<RevocationStep, { readonly kind: "broker_reloaded" | "access_verified" }>;

/** `proved`: by every server that uses it; `not_served`: one of them shows another. */
interface Proof {
  readonly outcome: "proved" | "unproved" | "not_served";
  readonly steps: readonly ServedStep[];
  readonly fault?: RenewFault;
}

const BROKER_TIMEOUT_MS = 5_000;
/** A reload waits for the backend, and tries the broker for 10 s. */
const GATEWAY_TIMEOUT_MS = 30_000;
const POLL_MS = 200;

interface Parts {
  readonly site: OpenSite;
  readonly access: BrokerAccess;
  readonly issued: IssuedCertificate;
  readonly brokerRuns: boolean;
  readonly uses: Readonly<Record<RenewTarget, boolean>>;
}

/** True if the broker or the gateway of a folder runs on this machine. */
export async function runHere(layout: SiteLayout): Promise<boolean> {
  return typeof await brokerPid(layout) === "number" ||
    lockHolder(layout, "gateway") !== undefined;
}

/** The servers that use one certificate. */
export class ToldServers {
  readonly #parts: Parts;
  readonly #steps: ServedStep[] = [];
  #isProved = true;
  #fault: RenewFault | undefined;

  private constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Looks at everything that can be looked at before they are told; throws what is wrong. */
  static async of(
    site: OpenSite,
    { paths, issued }: { readonly paths: CredentialPaths; readonly issued: IssuedCertificate },
  ): Promise<ToldServers> {
    const { layout, config } = site;
    const read = await readBrokerAccess(site);
    if (!read.ok) throw new RenewError(read.fault);
    const { access } = read;
    const brokerRuns = await isListening(access.gateway.listener);
    const uses = {
      broker: paths.certificate === layout.broker.certificate,
      gateway: paths.certificate === config.broker.certificate,
      api: paths.certificate === config.api.certificate,
    };
    if (brokerRuns && uses.broker) await checkLists(layout);
    if (brokerRuns && uses.gateway) {
      const reason = await connectError(access.gateway.listener, issued, probeName());
      if (reason !== undefined) throw new RenewError({ kind: "certificate_refused", reason });
    }
    return new ToldServers({ site, access, issued, brokerRuns, uses });
  }

  /** Tells those that run, and waits until they show it. */
  async prove(gatewaySays: GatewayView): Promise<Proof> {
    const { uses } = this.#parts;
    try {
      if (uses.broker) await this.#proveBroker();
      if (uses.gateway || uses.api) await this.#proveGateway(gatewaySays);
    } catch (error) {
      if (!(error instanceof RenewError || error instanceof EnforcementError)) throw error;
      this.#isProved = false;
      this.#fault = error.fault;
    }
    const isOther = this.#fault?.kind === "certificate_not_served";
    return {
      outcome: isOther ? "not_served" : this.#isProved ? "proved" : "unproved",
      steps: this.#steps,
      ...(this.#fault && { fault: this.#fault }),
    };
  }

  /** Tells those that run once more, without looking at what they do. */
  async tellAgain(): Promise<void> {
    const { uses, site: { layout } } = this.#parts;
    if (uses.broker) await reloadBroker(layout);
    const pid = uses.gateway || uses.api ? lockHolder(layout, "gateway") : undefined;
    if (pid !== undefined) hangUp(pid);
  }

  async #proveBroker(): Promise<void> {
    const { access: { layout, devices, gateway }, brokerRuns } = this.#parts;
    if (!brokerRuns) return this.#unproved({ kind: "broker_not_running" });
    const told = await reloadBroker(layout);
    if (!told.told) {
      // The API shows it all the same, and the broker once it starts again.
      this.#isProved = false;
      const { reason, hint } = told;
      this.#fault = { kind: "broker_not_told", reason, hint };
      return;
    }
    this.#steps.push({ kind: "broker_reloaded", pid: told.pid });
    const { listener, credential } = gateway;
    for (const server of [{ ...listener, credential }, devices]) {
      await this.#proveServed("broker", server, BROKER_TIMEOUT_MS);
    }
    await this.#proveApart();
  }

  /** That takes a certificate of a device, which only the authority's key can make. */
  async #proveApart(): Promise<void> {
    const { access, site: { layout, nowMs } } = this.#parts;
    if (!await exists(layout.deviceCa.key)) return;
    const opened = await openIssuingAuthority(layout, { nowMs });
    if (!opened.ok) throw new EnforcementError({ kind: "probe_not_made", reason: opened.fault });
    const seen = await accessOf(access, opened.authority, { name: probeName(), speak: false });
    this.#steps.push(await requireApart(access, seen));
  }

  async #proveGateway(gatewaySays: GatewayView): Promise<void> {
    const { uses, site: { layout, config: { api } }, access, issued } = this.#parts;
    const pid = lockHolder(layout, "gateway");
    if (pid === undefined) return this.#unproved({ kind: "gateway_not_running" });
    const reason = hangUp(pid);
    if (reason !== undefined) throw new RenewError({ kind: "gateway_not_told", pid, reason });
    this.#steps.push({ kind: "gateway_reloaded", pid });
    if (uses.api) {
      const { ca } = access.gateway.listener;
      const host = reachableHost(api.host);
      const { names } = identityOf(issued.certificatePem);
      // Who connects to it from here may do so by an address that only the settings name.
      const name = names.includes(host) ? host : names.find((one) => isIP(one) === 0) ?? host;
      const server = { host, name, port: api.port, ca };
      await this.#proveServed("api", server, GATEWAY_TIMEOUT_MS);
    }
    if (uses.gateway) await this.#proveUsed(gatewaySays);
  }

  async #proveServed(
    by: RenewTarget,
    server: Parameters<typeof untilServed>[0],
    timeoutMs: number,
  ): Promise<void> {
    const { certificatePem } = this.#parts.issued;
    const seen = await untilServed(server, certificatePem, timeoutMs);
    if (!seen.served) {
      throw new RenewError({ kind: "certificate_not_served", by, reason: seen.reason });
    }
    this.#steps.push({ kind: "certificate_served", by, host: server.host, port: server.port });
  }

  async #proveUsed(gatewaySays: GatewayView): Promise<void> {
    const { issued: { serial }, brokerRuns } = this.#parts;
    if (!brokerRuns) return this.#unproved({ kind: "gateway_not_connected" });
    const endMs = performance.now() + GATEWAY_TIMEOUT_MS;
    for (;;) {
      const said = await gatewaySays();
      if (said === undefined) return this.#unproved({ kind: "gateway_not_asked" });
      const { brokerCertificate, isConnected } = said;
      if (brokerCertificate === serial && isConnected) break;
      if (performance.now() >= endMs) {
        const fault = { kind: "certificate_not_served", by: "gateway" } as const;
        throw new RenewError({ ...fault, reason: brokerCertificate });
      }
      await pause(POLL_MS);
    }
    this.#steps.push({ kind: "certificate_used" });
  }

  #unproved(step: ServedStep): void {
    this.#steps.push(step);
    this.#isProved = false;
  }
}

/** What a reload reads besides: a list that Mosquitto cannot read opens the door. */
async function checkLists(layout: SiteLayout): Promise<void> {
  const [aclDevices, aclGateway] = [
    await readText(layout.aclDevices),
    await readText(layout.aclGateway),
  ];
  await checkAccessLists(layout, { aclDevices, aclGateway });
  const list = await readText(layout.revocationList);
  const authorities = certificatesOf(await readText(layout.deviceCa.certificate));
  for (const pem of authorities) {
    if (await revokedBy(openCertificate(pem), list) !== undefined) continue;
    throw new EnforcementError({
      kind: "broker_files_unreadable",
      reason: layout.revocationList,
    });
  }
}

/** Why a process cannot be told to reload; undefined if it was. */
function hangUp(pid: number): string | undefined {
  try {
    Deno.kill(pid, "SIGHUP");
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}
