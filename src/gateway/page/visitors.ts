/**
 * Who looks at the page or uses its API: a key, by itself or by a session that began with it.
 *
 * The rules are:
 * - a request with an Authorization field has the key in it or none: its cookie is not looked at;
 * - a session is good for requests of the page itself only: the browser says where they come from,
 *   and a change has to come from the page, whatever else is said;
 * - a session whose key was removed, or has another role by now, is not good for what that has not;
 * - a log-in has the same guard against guessing as a key in a request, and never goes on with a
 *   session that is there: its token is new.
 */

import { type ApiKey, type KeyRight, may } from "../../store/api_keys.ts";
import { type BearerAuth, unauthorized } from "../api/bearer_auth.ts";
import { notPermitted } from "../api/command_routes.ts";
import { problem } from "../api/problem.ts";
import { isJson } from "../api/request_body.ts";
import type { Sessions } from "./sessions.ts";

/** `__Host-`: a browser takes it only with Secure, Path=/ and no Domain (RFC 6265bis §4.1.3.2). */
const COOKIE = "__Host-session";

const ATTRIBUTES = "Path=/; Secure; HttpOnly; SameSite=Strict";

/** A token as `Sessions` makes them. */
const TOKEN = /^[A-Za-z0-9_-]{43}$/;

/** Longest text of a key that is looked at, characters. */
const KEY_MAX_CHARS = 256;

/** Someone with a right. */
export interface Visitor {
  readonly key: ApiKey;
  /** False once the key was removed, or the session is over: an answer that is held looks again. */
  stands(): Promise<boolean>;
}

/** Knows them. */
export class Visitors {
  readonly #auth: BearerAuth;
  readonly #sessions: Sessions;

  constructor(auth: BearerAuth, sessions: Sessions) {
    this.#auth = auth;
    this.#sessions = sessions;
  }

  /** The one who asks, if the key has the right, or whatever it may do; otherwise the answer. */
  async admit(
    request: Request,
    address: string,
    right: KeyRight | "any",
  ): Promise<Visitor | Response> {
    const visitor = request.headers.has("authorization")
      ? await this.#byKey(request, address)
      : await this.#bySession(request);
    if (visitor instanceof Response || right === "any") return visitor;
    return may(visitor.key, right) ? visitor : notPermitted(visitor.key, right);
  }

  /** Begins a session with the text of a key; `begun` is told whose. */
  async logIn(
    request: Request,
    { text, address, begun }: {
      readonly text: string;
      readonly address: string;
      readonly begun: (keyName: string) => void;
    },
  ): Promise<Response> {
    if (!isFromPage(request)) return problem("cross-site");
    const key = text.length > KEY_MAX_CHARS ? undefined : await this.#auth.find(text);
    if (key === undefined) return this.#auth.refuse("wrong key", address);
    if (!may(key, "look")) return notPermitted(key, "look");
    this.#endOf(request);
    begun(key.name);
    const cookie = `${COOKIE}=${this.#sessions.begin(key)}; ${ATTRIBUTES}`;
    return Response.json(describeKey(key), { headers: { "set-cookie": cookie } });
  }

  /** Ends the session of a request, if there is one. */
  logOut(request: Request): Response {
    if (!isFromPage(request)) return problem("cross-site");
    if (!isJson(request)) return problem("not-application-json");
    this.#endOf(request);
    const cookie = `${COOKIE}=; ${ATTRIBUTES}; Max-Age=0`;
    return new Response(null, { status: 204, headers: { "set-cookie": cookie } });
  }

  async #byKey(request: Request, address: string): Promise<Visitor | Response> {
    const key = await this.#auth.authenticate(request, address);
    return key instanceof Response ? key : { key, stands: () => this.#auth.stands(key) };
  }

  async #bySession(request: Request): Promise<Visitor | Response> {
    const token = tokenOf(request);
    if (token === undefined) return unauthorized();
    const isChange = request.method !== "GET" && request.method !== "HEAD";
    if (isChange ? !isFromPage(request) : !mayBeRead(request)) return problem("cross-site");
    const session = this.#sessions.use(token);
    const key = session && await this.#auth.current(session);
    if (key !== undefined) {
      const stands = async () => this.#sessions.stands(token) && await this.#auth.stands(key);
      return { key, stands };
    }
    this.#sessions.end(token);
    return unauthorized();
  }

  #endOf(request: Request): void {
    const token = tokenOf(request);
    if (token !== undefined) this.#sessions.end(token);
  }
}

/** Whose key it is, as the page shows it. */
export function describeKey({ name, role, deviceIds }: ApiKey) {
  return { name, role, devices: deviceIds ?? "every" };
}

/** Fetch Metadata §2.3: the browser says so, and no page can make it say so. */
function isFromPage({ headers }: Request): boolean {
  return headers.get("sec-fetch-site") === "same-origin";
}

/** From the page, from the address bar, or from a browser that does not say. */
function mayBeRead(request: Request): boolean {
  const site = request.headers.get("sec-fetch-site");
  return site === null || site === "none" || isFromPage(request);
}

/** The token of a request that has one, and one only. */
function tokenOf({ headers }: Request): string | undefined {
  const tokens = (headers.get("cookie") ?? "").split(";").flatMap((pair) => {
    const [name, value, ...more] = pair.trim().split("=");
    return name === COOKIE ? [more.length === 0 && TOKEN.test(value ?? "") ? value! : ""] : [];
  });
  return tokens.length === 1 && tokens[0] !== "" ? tokens[0] : undefined;
}
