/** Passes API requests to the gateway that runs, or lets them wait for the next one. */

import { problem } from "./problem.ts";
import type { ApiHandler } from "./routes.ts";

/** Stands between the API's listeners and the gateway, either of which may be replaced. */
export class RequestGate {
  readonly #underWay = new Set<Promise<Response>>();
  #api = Promise.withResolvers<ApiHandler>();

  /** Requests go to `api` from now on, those that wait among them. */
  open(api: ApiHandler): void {
    this.#api.resolve(api); // those that wait
    this.#api = Promise.withResolvers();
    this.#api.resolve(api);
  }

  /** Requests wait from now on for the next `open`; resolves when all others are answered. */
  async hold(graceMs: number): Promise<void> {
    this.#api = Promise.withResolvers();
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, graceMs);
    await Promise.race([Promise.allSettled([...this.#underWay]), late]);
    clearTimeout(timer);
  }

  /** No gateway comes any more: requests that wait get status 503. */
  close(): void {
    this.open(unavailable);
  }

  /** Answers one request, as `ApiHandler` says. */
  async handle(request: Request, address: string, stop?: AbortSignal): Promise<Response> {
    const api = await this.#api.promise;
    const answer = api(request, address, stop);
    this.#underWay.add(answer);
    return await answer.finally(() => this.#underWay.delete(answer));
  }
}

function unavailable(): Promise<Response> {
  const headers = { "retry-after": "5" };
  return Promise.resolve(problem("not-ready", { detail: "The gateway is stopping", headers }));
}
