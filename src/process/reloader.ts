/** Reloads a site into the supervisor: one reload at a time. */

import type { Emit } from "../core/event.ts";
import { changedSettings, type LoadedSite } from "./loaded_site.ts";
import type { Supervisor } from "./supervisor.ts";
import type { ServiceNotifier } from "./systemd_notify.ts";

/** What a reloader works with. */
interface ReloaderOptions {
  /** Reads the site; rejects if it is not valid. */
  readonly load: () => Promise<LoadedSite>;
  readonly emit: Emit;
  readonly systemd: Pick<ServiceNotifier, "reloading" | "reloaded">;
}

/** Brings what changed in a site into the running gateway. */
export class Reloader {
  readonly #supervisor: Pick<Supervisor, "reload">;
  readonly #options: ReloaderOptions;
  /** What the gateway runs with. */
  #current: LoadedSite;
  #reloading = false;
  #requested = false;

  constructor(
    supervisor: Pick<Supervisor, "reload">,
    current: LoadedSite,
    options: ReloaderOptions,
  ) {
    this.#supervisor = supervisor;
    this.#current = current;
    this.#options = options;
  }

  /** Reloads; any number of requests during a reload make one more after it. Never rejects. */
  async request(): Promise<void> {
    this.#requested = true;
    if (this.#reloading) return;
    this.#reloading = true;
    await this.#options.systemd.reloading();
    while (this.#requested) {
      this.#requested = false;
      await this.#reload();
    }
    this.#reloading = false;
    await this.#options.systemd.reloaded();
  }

  async #reload(): Promise<void> {
    const { load, emit } = this.#options;
    let changed = "";
    try {
      const next = await load();
      changed = changedSettings(this.#current, next).join(", ");
      if (changed === "") return emit({ kind: "reloaded", changed });
      emit({ kind: "reloading", changed });
      await this.#supervisor.reload(next);
      this.#current = next;
      emit({ kind: "reloaded", changed });
    } catch (error) {
      const reason = `${changed && `${changed}: `}${(error as Error).message}`;
      emit({ kind: "reload_failed", reason });
    }
  }
}
