/**
 * The gateway, put together: bytes from the broker become a verdict; an accepted one becomes an outbox
 * entry in the same transaction that remembers its id; only then is the broker acknowledged; the
 * forwarder drains the outbox at its own pace. Beside it, the API turns the backend's commands into
 * signed messages. This is the life of the parts; `assembly.ts` puts them together.
 */

import type { Config } from "../config/config.ts";
import { serverName } from "../config/server_name.ts";
import { VERSION } from "../config/version.ts";
import { backendTlsFault } from "./backend/tls_check.ts";
import { assemble, type GatewayOptions, type GatewayParts } from "./assembly.ts";

/** How long requests wait for a gateway that starts, before they are told what is not ready. */
const API_HOLD_MS = 2_000;

/** How long a clean stop waits for requests that are under way, milliseconds. */
export const STOP_GRACE_MS = 10_000;

/** One gateway on one site. */
export class Gateway {
  /** Resolves when the store was replaced, or must be opened again: start a new gateway on it. */
  readonly replaced: Promise<void>;
  readonly #config: Config;
  readonly #parts: GatewayParts;
  readonly #ready = Promise.withResolvers<void>();
  readonly #stopped = new AbortController();
  #looking: Promise<void> = Promise.resolve();
  #stopping = false;

  private constructor(config: Config, parts: GatewayParts) {
    this.#config = config;
    this.#parts = parts;
    this.replaced = parts.committer.replaced;
  }

  /** Opens the store and reads the site's files; throws a `StartError` or a `StoreError`. */
  static async open(config: Config, options: GatewayOptions): Promise<Gateway> {
    return new Gateway(config, await assemble(config, options));
  }

  /** Drains what an earlier run left, and connects; resolves once messages flow. */
  async start(): Promise<void> {
    const { broker, committer, forwarder, intake, keys, gate, api, emit } = this.#parts;
    const { commands } = this.#parts;
    const tells = this.#config.commands.callbackPath !== undefined;
    const untold: number[] = [];
    let pending = 0;
    for await (const entry of this.#parts.messages.backlog()) {
      pending++;
      if (entry.isBehind) forwarder.holds.holdBack(entry);
      if (entry.isCallback && !tells) untold.push(entry.sequence);
      else forwarder.addBacklog(entry);
    }
    committer.start({ pending, entries: forwarder, commands: commands.watch });
    const { holds } = forwarder;
    await this.#parts.cluster?.start({ ...commands, holds, commands: this.#parts.store.commands });
    forwarder.start();
    await commands.sender.start();
    broker.open({
      take: (message) => intake.take(message),
      sessionResumed: () => intake.sessionResumed(),
      connected: () => this.#connected(),
      disconnected: () => this.#parts.catchUp.begin("broker"),
      dropCounted: (total) => this.#parts.dropCounter.count(total),
    });
    const hold = setTimeout(() => gate?.open(api), API_HOLD_MS);
    await this.#ready.promise;
    clearTimeout(hold);
    if (this.#stopping) return;
    gate?.open(api);
    this.#drop(untold);
    const counts = { devices: keys.size, pending: committer.pending };
    emit({ kind: "gateway_started", ...startFacts(this.#config), ...counts });
    this.#looking = this.#tellUntrusted();
    await this.#tellAuditHead();
  }

  /** Takes nothing more, lets what is under way end, and leaves the rest in the outbox. */
  async stop(graceMs = STOP_GRACE_MS): Promise<void> {
    const { intake, forwarder, gate, committer, broker, backend, eventLog, store } = this.#parts;
    this.#stopping = true;
    this.#stopped.abort();
    this.#ready.resolve();
    this.#parts.expiryWatch.close();
    intake.stopTaking();
    this.#parts.commands.waits.close();
    await Promise.all([forwarder.stop(graceMs), gate?.hold(graceMs)]);
    await this.#parts.cluster?.close();
    await this.#parts.commands.sender.stop();
    this.#parts.refusals.close();
    await intake.close();
    await this.#parts.secretUses.close();
    await broker.close();
    await this.#parts.receipts.close();
    this.#parts.feed.release();
    backend.close();
    await this.#looking;
    eventLog.flush();
    this.#parts.emit({ kind: "gateway_stopped", pending: committer.pending });
    await this.#tellAuditHead();
    await store.close();
  }

  #connected(): void {
    this.#parts.catchUp.end("broker");
    this.#parts.commands.sender.connected();
    this.#ready.resolve();
  }

  /** There is no path to which these callbacks could go, and these settings are here to stay. */
  #drop(callbacks: readonly number[]): void {
    if (callbacks.length === 0) return;
    const { committer, emit } = this.#parts;
    for (const sequence of callbacks) committer.settle({ sequence, deadLetter: undefined });
    emit({ kind: "callbacks_dropped", count: callbacks.length });
  }

  async #tellUntrusted(): Promise<void> {
    const { backend: { url, proxy } } = this.#config;
    const { backendCa: ca, emit } = this.#parts;
    const reason = await backendTlsFault({ url, proxy, ca }, this.#stopped.signal);
    if (reason !== undefined) emit({ kind: "backend_untrusted", reason });
  }

  async #tellAuditHead(): Promise<void> {
    try {
      this.#parts.emit({ kind: "audit_head", ...await this.#parts.store.audit.head() });
    } catch {
      // The store is lost, which the log says already.
    }
  }
}

/** What runs where, for the log. */
function startFacts({ store, broker, api, backend }: Config) {
  return {
    version: VERSION,
    database: store.server ? serverName(store.server) : store.database,
    broker: `${broker.host}:${broker.port}`,
    api: `${api.host}:${api.port}`,
    backend: new URL(backend.url).origin,
  };
}
