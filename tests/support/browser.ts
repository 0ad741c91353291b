/**
 * A real browser, Debian's chromium, that looks at a live site's page.
 *
 * The rules are:
 * - it has an empty folder of its own, and asks nobody on the network;
 * - it trusts this site's certificate and no other: by its key, not by looking away;
 * - whatever it asks of anybody else, each report of the content policy, and each error is kept.
 */

import { createHash, X509Certificate } from "node:crypto";
import type { Browser, BrowserContext, Page } from "playwright-core";
import type { LiveSite } from "./live_site.ts";

const CHROMIUM_PLACES = ["/usr/bin/chromium", "/usr/bin/chromium-browser"];

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Where chromium is; undefined: it is not installed, and its tests are skipped. */
export const CHROMIUM: string | undefined = CHROMIUM_PLACES.find(isFile);

if (CHROMIUM === undefined) {
  console.error("skipped: there is no chromium (apt-get install chromium)");
}

/** How one visitor looks. */
interface VisitOptions {
  readonly width?: number;
  readonly height?: number;
  readonly colorScheme?: "light" | "dark";
  readonly reducedMotion?: "reduce" | "no-preference";
  /** Such as `Asia/Tokyo`. */
  readonly timezoneId?: string;
}

/** One browser, and what its pages did that they must not. */
export class LookingBrowser {
  /** Requests to anybody but the site. */
  readonly strangers: string[] = [];
  /** Reports of the content policy. */
  readonly violations: string[] = [];
  /** Errors in the console and of scripts. */
  readonly errors: string[] = [];
  readonly origin: string;
  readonly #browser: Browser;

  private constructor(browser: Browser, origin: string) {
    this.#browser = browser;
    this.origin = origin;
  }

  /** Starts one for the site; `close` it at the end. */
  static async start(site: LiveSite): Promise<LookingBrowser> {
    // While it is imported it looks if this is Windows, in files that no permission short of all opens.
    Deno.env.set("__IS_WSL_TEST__", "1");
    const { chromium } = await import("playwright-core");
    const browser = await chromium.launch({
      executablePath: CHROMIUM!,
      args: [...FLAGS, `--ignore-certificate-errors-spki-list=${serverKeyHash(site)}`],
    });
    return new LookingBrowser(browser, `https://localhost:${site.config.api.port}`);
  }

  async close(): Promise<void> {
    await this.#browser.close();
  }

  /** A page of a visitor who has not been here before. */
  async visit(options: VisitOptions = {}): Promise<Page> {
    const { width = 1280, height = 860, colorScheme = "light", ...others } = options;
    const context: BrowserContext = await this.#browser.newContext({
      baseURL: this.origin,
      viewport: { width, height },
      colorScheme,
      ...others,
    });
    context.setDefaultTimeout(10_000);
    await context.exposeFunction("keepViolation", (what: string) => this.violations.push(what));
    await context.addInitScript(KEEP_VIOLATIONS);
    const page = await context.newPage();
    page.on("request", (request) => {
      if (!request.url().startsWith(`${this.origin}/`)) this.strangers.push(request.url());
    });
    page.on("console", (said) => {
      if (said.type() === "error") this.errors.push(`${said.text()} ${said.location().url}`);
    });
    page.on("pageerror", (error) => this.errors.push(error.message));
    return page;
  }
}

const KEEP_VIOLATIONS = `addEventListener("securitypolicyviolation", (event) =>
  keepViolation(event.violatedDirective + " " + event.blockedURI));`;

/** As `--ignore-certificate-errors-spki-list` wants it. */
function serverKeyHash({ layout }: LiveSite): string {
  const certificate = new X509Certificate(Deno.readFileSync(layout.broker.certificate));
  const key = certificate.publicKey.export({ type: "spki", format: "der" });
  return createHash("sha256").update(key).digest("base64");
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
