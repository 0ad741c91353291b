/** The page of a busy site in a real browser. */

import assert from "node:assert/strict";
import type { Page } from "playwright-core";
import { LookingBrowser } from "./browser.ts";
import { type BusyDevices, letDevicesNameOthers, makeBusy } from "./busy_site.ts";
import { addApiKey } from "./site_store.ts";
import { type LiveSite, withLiveSite } from "./live_site.ts";

/** A busy site, a browser, and keys to log in with. */
export interface PageScene {
  readonly site: LiveSite;
  readonly browser: LookingBrowser;
  readonly keys: { readonly view: string; readonly operate: string };
  readonly devices: BusyDevices;
}

/** Runs `work` with a scene; at the end nothing was asked of anybody else, and no policy was hurt. */
export async function withPageScene(work: (scene: PageScene) => Promise<void>): Promise<void> {
  await withLiveSite(async (site) => {
    await letDevicesNameOthers(site);
    await site.startGateway();
    const devices = await makeBusy(site);
    const view = await addApiKey(site, "viewer", { role: "view" });
    const operate = await addApiKey(site, "operator", { role: "operate" });
    const browser = await LookingBrowser.start(site);
    try {
      await work({ site, browser, keys: { view, operate }, devices });
      assert.deepEqual(browser.strangers, [], "requests to anywhere else");
      assert.deepEqual(browser.violations, [], "reports of the content policy");
    } finally {
      await browser.close();
    }
  }, { start: false });
}

/** Opens a section and logs in there. */
export async function logIn(page: Page, key: string, section = "overview"): Promise<void> {
  await page.goto(`/ui#${section}`);
  await page.getByLabel("API key").fill(key);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.locator("#content h1").waitFor();
}

/** Opens a section; resolves when it is there. */
export async function open(page: Page, section: string): Promise<void> {
  await page.goto(`/ui#${section}`);
  await page.locator("#content h1").waitFor();
  await page.getByText("Loading…").first().waitFor({ state: "hidden" });
}
