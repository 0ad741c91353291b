/**
 * The paths below /ui: the page, and the API that it uses, which others may use with a key.
 *
 * The rules are:
 * - the page's own files are for all; everything else wants a key or a session, and the right to it;
 * - a list has a limit and a cursor, a change a body of JSON; what is not understood is an error;
 * - a key for some devices sees these, and learns nothing of the others, not even whether they exist.
 */

import type { Context, Hono } from "hono";
import { isDeviceId } from "../../core/device.ts";
import { isJsonObject } from "../../core/json_object.ts";
import type { KeyRight } from "../../store/api_keys.ts";
import { StoreError } from "../../store/store_error.ts";
import type { BearerAuth } from "../api/bearer_auth.ts";
import { cancelCommand } from "../api/command_reads.ts";
import { notAllowed, type RouteEnvironment } from "../api/command_routes.ts";
import type { CommandRouteParts } from "../api/command_target.ts";
import { streamEvents } from "../api/event_stream.ts";
import { problem, type ProblemName } from "../api/problem.ts";
import { isJson, readBody } from "../api/request_body.ts";
import type { EventFeed } from "../telemetry/event_feed.ts";
import { INDEX } from "./assets.ts";
import { Changes } from "./changes.ts";
import { commandPage } from "./command_list.ts";
import { deadLetterPage, deadLetterPayload } from "./dead_letter_lists.ts";
import { devicePage } from "./device_page.ts";
import { DEVICE_PARAMETERS, DeviceTable, sees } from "./device_table.ts";
import { expiryPage } from "./expiries.ts";
import { Explainer } from "./explained_rejection.ts";
import { overview } from "./overview.ts";
import { pageFile } from "./page_files.ts";
import { PageQuery, QueryError } from "./page_query.ts";
import type { PageSources } from "./page_sources.ts";
import { rejectionPage } from "./rejection_table.ts";
import { describeKey, type Visitor, Visitors } from "./visitors.ts";
import { waitingPage } from "./waiting_table.ts";

/** Longest body of a change, bytes. */
const BODY_MAX_BYTES = 4_096;

/** What a client waits for a store that does not answer. */
const RETRY_AFTER = { "retry-after": "5" };

/** A sequence number in a path. */
const SEQUENCE = /^[1-9][0-9]{0,14}$/;

/** What the paths need of the gateway. */
export interface PageParts extends CommandRouteParts {
  readonly auth: BearerAuth;
  readonly feed: Pick<EventFeed, "follow">;
  readonly sources: PageSources;
}

type PageContext = Context<RouteEnvironment>;

/** A request that is admitted. */
interface Admitted extends Visitor {
  readonly context: PageContext;
  readonly request: Request;
  readonly stop: AbortSignal;
  /** Of the path. */
  param(name: string): string;
  query(...names: readonly string[]): PageQuery;
}

/** Answers with a response, or with what becomes JSON; undefined: it is not there. */
type Answer = (asked: Admitted) => unknown;
type ChangeAnswer = (asked: Admitted, body: Readonly<Record<string, unknown>>) => Promise<unknown>;

/** Adds the paths to an app. */
export function addPageRoutes(app: Hono<RouteEnvironment>, parts: PageParts): void {
  const table = new DeviceTable(parts.sources);
  const routes = new Routes(app, parts);
  addFiles(app);
  addSession(app, parts, routes);
  addOverviews(routes, parts, table);
  addDevices(routes, parts, table);
  addChanges(routes, parts); // before those with a number where these have a word
  addLists(routes, parts);
}

function addFiles(app: Hono<RouteEnvironment>): void {
  app.get("/ui", (c) => pageFile(INDEX, c.req.raw));
  app.get("/ui/", () => new Response(null, { status: 308, headers: { location: "/ui" } }));
  app.get("/ui/assets/*", (c) => pageFile(c.req.path.slice("/ui/assets/".length), c.req.raw));
  for (const path of ["/ui", "/ui/", "/ui/assets/*"]) app.all(path, () => notAllowed("GET"));
}

function addSession(
  app: Hono<RouteEnvironment>,
  { bodyTimeoutMs, emit }: PageParts,
  routes: Routes,
): void {
  const path = "/ui/api/session";
  const { visitors } = routes;
  app.post(path, async (c) => {
    const { address } = c.env;
    const body = await readObject(c.req.raw, bodyTimeoutMs);
    if (body instanceof Response) return body;
    const { key, ...others } = body;
    if (typeof key !== "string" || Object.keys(others).length > 0) {
      return problem("bad-query", { detail: 'Send {"key":"…"}' });
    }
    const begun = (keyName: string) => emit({ kind: "session_begun", keyName, address });
    return await visitors.logIn(c.req.raw, { text: key, address, begun });
  });
  app.delete(path, (c) => visitors.logOut(c.req.raw));
  routes.get(path, ({ key }) => describeKey(key), { right: "any", allow: "GET, POST, DELETE" });
}

function addOverviews(routes: Routes, { sources, feed }: PageParts, table: DeviceTable): void {
  routes.get("/ui/api/overview", (asked) => {
    asked.query();
    return overview(sources, table, asked.key);
  });
  routes.get("/ui/api/flow", (asked) => {
    asked.query();
    return { node: sources.about.node, ...sources.memory.flow.read() };
  });
  routes.get("/ui/api/rejections", (asked) => {
    const query = asked.query("device", "code", "limit", "cursor");
    return rejectionPage(query, { sources, table }, asked.key);
  });
  routes.get(
    "/ui/api/expiries",
    (asked) => expiryPage(asked.query("limit", "cursor"), sources, asked.key),
  );
  routes.get(
    "/ui/api/events",
    ({ key, request, stop, ...asked }) => {
      asked.query("device", "with", "limit");
      return streamEvents({ key, request, stop, keyStands: asked.stands }, feed);
    },
    { right: "any" },
  );
}

function addDevices(routes: Routes, { sources }: PageParts, table: DeviceTable): void {
  const explainer = new Explainer(sources);
  routes.get(
    "/ui/api/devices",
    (asked) => table.page(asked.query(...DEVICE_PARAMETERS), asked.key),
  );
  routes.get("/ui/api/devices/:id", async (asked) => {
    const id = asked.param("id");
    asked.query();
    await sources.keys.refresh();
    return sees(asked.key, id, sources) ? await devicePage(id, sources, table) : undefined;
  }, { missing: "unknown-device" });
  routes.get("/ui/api/devices/:id/rejections/:rejection", async (asked) => {
    const id = asked.param("id");
    asked.query();
    await sources.keys.refresh();
    if (!sees(asked.key, id, sources)) return undefined;
    const rejection = sources.memory.rejections.find(id, asked.param("rejection"));
    return rejection && await explainer.explain(id, rejection, asked.key);
  }, { missing: "unknown-rejection" });
}

function addLists(routes: Routes, { sources }: PageParts): void {
  routes.get(
    "/ui/api/dead",
    (asked) => deadLetterPage(asked.query("device", "limit", "cursor"), sources, asked.key),
  );
  routes.get("/ui/api/dead/:sequence", async (asked) => {
    asked.query();
    const sequence = sequenceOf(asked);
    return sequence && await deadLetterPayload(sequence, sources, asked.key);
  }, { missing: "unknown-dead-letter" });
  routes.get(
    "/ui/api/outbox",
    (asked) =>
      Promise.resolve(waitingPage(asked.query("device", "limit", "cursor"), sources, asked.key)),
  );
  routes.get("/ui/api/commands", async (asked) => {
    const query = asked.query("device", "state", "limit", "cursor");
    const json = await commandPage(query, sources, asked.key);
    return new Response(json, { headers: { "content-type": "application/json" } });
  });
}

function addChanges(routes: Routes, parts: PageParts): void {
  const changes = new Changes(parts);
  for (const change of ["retry", "drop"] as const) {
    const done = change === "retry" ? "requeued" : "dropped";
    routes.post(`/ui/api/dead/${change}`, async ({ key }, body) => {
      const device = selectionOf(body);
      await parts.sources.keys.refresh();
      if (device !== undefined && !sees(key, device, parts.sources)) return undefined;
      const { count, more } = await changes.deadLetters(device, change, key);
      return { [done]: count, more };
    }, { missing: "unknown-device" });
    routes.post(`/ui/api/dead/:sequence/${change}`, async (asked, body) => {
      refuseMembers(body);
      const sequence = sequenceOf(asked);
      const isDone = sequence && await changes.deadLetter(sequence, change, asked.key);
      return isDone ? { [done]: 1 } : undefined;
    }, { missing: "unknown-dead-letter" });
  }
  routes.post("/ui/api/outbox/:sequence/drop", async (asked, body) => {
    refuseMembers(body);
    const sequence = sequenceOf(asked);
    const isDone = sequence && await changes.dropEntry(sequence, asked.key);
    return isDone ? { dead_letter: sequence } : undefined;
  }, { missing: "unknown-entry" });
  routes.post("/ui/api/commands/:id/:message/cancel", async (asked, body) => {
    refuseMembers(body);
    const names = { deviceId: asked.param("id"), messageId: asked.param("message") };
    return await cancelCommand({ key: asked.key, ...names }, parts);
  });
}

/** What a path has that is not the usual. */
interface RouteOptions {
  /** What a key needs; `look`, or `operate` for a change, if it is not given. */
  readonly right?: KeyRight | "any";
  /** The problem if there is nothing. */
  readonly missing?: ProblemName;
  /** The methods of a path that is not only read: the others are added before. */
  readonly allow?: string;
}

/** Paths whose answers want a key or a session. */
class Routes {
  readonly visitors: Visitors;
  readonly #app: Hono<RouteEnvironment>;
  readonly #parts: PageParts;

  constructor(app: Hono<RouteEnvironment>, parts: PageParts) {
    this.#app = app;
    this.#parts = parts;
    this.visitors = new Visitors(parts.auth, parts.sources.memory.sessions);
  }

  /** Adds a path that is read. */
  get(path: string, answer: Answer, options: RouteOptions = {}): void {
    const { right = "look", missing, allow = "GET" } = options;
    this.#app.get(
      path,
      (c) => this.#answer(c, right, (asked) => responseOf(answer(asked), missing)),
    );
    this.#app.all(path, () => notAllowed(allow));
  }

  /** Adds a path by which something is changed. */
  post(path: string, answer: ChangeAnswer, { missing }: RouteOptions = {}): void {
    this.#app.post(path, (c) =>
      this.#answer(c, "operate", async (asked) => {
        const body = await readObject(asked.request, this.#parts.bodyTimeoutMs);
        if (body instanceof Response) return body;
        return await responseOf(answer(asked, body), missing);
      }));
    this.#app.all(path, () => notAllowed("POST"));
  }

  async #answer(
    context: PageContext,
    right: KeyRight | "any",
    answer: (asked: Admitted) => Promise<Response>,
  ): Promise<Response> {
    const request = context.req.raw;
    const { address, stop } = context.env;
    const visitor = await this.visitors.admit(request, address, right);
    if (visitor instanceof Response) return visitor;
    try {
      return await answer({
        ...visitor,
        ...{ context, request, stop },
        param: (name) => context.req.param(name) ?? "",
        query: (...names) => new PageQuery(new URL(request.url).searchParams, names),
      });
    } catch (error) {
      if (error instanceof QueryError) return problem("bad-query", { detail: error.message });
      if (!(error instanceof StoreError)) throw error;
      const detail = "The store does not answer; try again";
      return problem("store-unavailable", { detail, headers: RETRY_AFTER });
    }
  }
}

async function responseOf(
  answered: unknown,
  missing: ProblemName = "not-found",
): Promise<Response> {
  const answer = await answered;
  if (answer === undefined) return problem(missing);
  return answer instanceof Response ? answer : Response.json(answer);
}

/** The JSON object in a request's body, or what is wrong with it. */
async function readObject(
  request: Request,
  timeoutMs: number,
): Promise<Readonly<Record<string, unknown>> | Response> {
  if (!isJson(request)) return problem("not-application-json");
  const body = await readBody(request, { maxBytes: BODY_MAX_BYTES, timeoutMs });
  if (typeof body === "string") {
    return body === "too-large"
      ? problem(body, { detail: `A change has at most ${BODY_MAX_BYTES} bytes` })
      : problem(body);
  }
  try {
    const value: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
    return isJsonObject(value) ? value : problem("not-json", { detail: "Send a JSON object" });
  } catch {
    return problem("not-json", { detail: "Send a JSON object" });
  }
}

/** The device whose dead letters are meant, said in exactly one of two ways; undefined: all. */
function selectionOf({ device, all, ...others }: Readonly<Record<string, unknown>>) {
  refuseMembers(others);
  if (all === true && device === undefined) return undefined;
  if (typeof device === "string" && isDeviceId(device) && all === undefined) return device;
  throw new QueryError('Send {"device":"…"} or {"all":true}');
}

function refuseMembers(body: Readonly<Record<string, unknown>>): void {
  if (Object.keys(body).length > 0) throw new QueryError("The body: there are no such members");
}

/** The number in the path; undefined if it is none. */
function sequenceOf(asked: Admitted): number | undefined {
  const text = asked.param("sequence");
  return SEQUENCE.test(text) ? Number(text) : undefined;
}
