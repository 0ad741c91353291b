/**
 * The page, as an operator sees it in a real browser.
 *
 * One gateway and one browser for all of it; the steps use what the ones before have left.
 */

import assert from "node:assert/strict";
import axeSource from "axe-core" with { type: "text" };
import type { Page } from "playwright-core";
import { secondsOf } from "../../src/core/time.ts";
import { poll } from "../../src/time/poll.ts";
import { CHROMIUM, LookingBrowser } from "../support/browser.ts";
import {
  addApiKey,
  type BusyDevices,
  HOSTILE,
  makeBusy,
  withSiteStore,
} from "../support/busy_site.ts";
import { type LiveSite, withLiveSite } from "../support/live_site.ts";

const SECTIONS = [
  ...["overview", "devices", "devices/wrong_001", "rejections", "waiting", "dead", "commands"],
  ...["expiry", "live"],
];

/** What a hostile text looks like when it is a text. */
const SHOWN = HOSTILE.replace("\u202e", "\\u202e").replace("\u202c", "\\u202c");

/** So many rules apply to every section. */
const AXE_LEAST_PASSED = 15;
const AXE_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

/** How soon a live rejection is there, milliseconds. */
const LIVE_MAX_MS = 1_000;

/** How soon something is painted, and the first page of so many devices. */
const PAINT_MAX_MS = 1_000;
const MANY = 10_000;

interface Scene {
  readonly site: LiveSite;
  readonly browser: LookingBrowser;
  readonly keys: { readonly view: string; readonly operate: string };
  readonly devices: BusyDevices;
}

async function withScene(work: (scene: Scene) => Promise<void>): Promise<void> {
  await withLiveSite(async (site) => {
    const devices = await makeBusy(site);
    const view = await addApiKey(site, "viewer", "view");
    const operate = await addApiKey(site, "operator", "operate");
    const browser = await LookingBrowser.start(site);
    try {
      await work({ site, browser, keys: { view, operate }, devices });
      assert.deepEqual(browser.strangers, [], "requests to anywhere else");
      assert.deepEqual(browser.violations, [], "reports of the content policy");
    } finally {
      await browser.close();
    }
  });
}

async function logIn(page: Page, key: string, section = "overview"): Promise<void> {
  await page.goto(`/ui#${section}`);
  await page.getByLabel("API key").fill(key);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.locator("#content h1").waitFor();
}

async function open(page: Page, section: string): Promise<void> {
  await page.goto(`/ui#${section}`);
  await page.locator("#content h1").waitFor();
  await page.getByText("Loading…").first().waitFor({ state: "hidden" });
}

async function axeFindings(page: Page): Promise<unknown[]> {
  await page.evaluate(axeSource);
  const options = JSON.stringify({ runOnly: AXE_RULES });
  const { passed, findings } = await page.evaluate<{ passed: number; findings: unknown[] }>(
    `axe.run(${options}).then(({ passes, violations }) => ({ passed: passes.length,
      findings: violations.map(({ id, nodes }) => [id, nodes[0].html, nodes[0].failureSummary]) }))`,
  );
  assert.ok(passed >= AXE_LEAST_PASSED, `axe has looked at ${passed} rules only`);
  return findings;
}

async function pageText(page: Page): Promise<string> {
  return await page.locator("body").innerText();
}

Deno.test("the page in a real browser", { ignore: CHROMIUM === undefined }, async (t) => {
  await withScene(async (scene) => {
    const { browser } = scene;
    const page = await browser.visit();
    await t.step("a wrong key does not get in, the right one does", () => logInStep(scene, page));
    const step = (name: string, work: (scene: Scene, page: Page) => Promise<void>) =>
      t.step(name, () => work(scene, page));
    await step("is it well, at a look", overviewStep);
    await step("devices are found, sorted and filtered", devicesStep);
    await step("a device's page says the likely mistake", deviceStep);
    await step("what was refused, by device and code", rejectionsStep);
    await step("a rejection is in the live tail within a second; a pause holds it", liveStep);
    await step("hostile texts are texts", hostileStep);
    await step("what is stuck is skipped", waitingStep);
    await step("a command is cancelled", commandsStep);
    await step("what ends, soonest first", expiryStep);
    await step("a dead letter is sent again", deadStep);
    await step("four charts, each with its numbers as a table", flowStep);
    assert.deepEqual(browser.errors.filter((error) => !/401/.test(error)), []);
    await t.step("everything by keyboard alone", () => keyboardStep(scene));
    await t.step("no finding of axe, no scrolling sideways, light and dark", () => lookStep(scene));
    await t.step("a key that may look sees no way to change", () => viewStep(scene));
    await t.step("a removed key ends the session", () => removedKeyStep(scene, page));
  });
});

Deno.test(
  "10,000 devices are painted within a second",
  { ignore: CHROMIUM === undefined },
  async () => {
    await withLiveSite(async (site) => {
      await withSiteStore(site, async ({ registry }) => {
        const createdAt = secondsOf(Date.now());
        const ids = Array.from({ length: MANY }, (_, i) => `meter_${String(i).padStart(5, "0")}`);
        const conflicts = await registry.addAll(
          ids.map((deviceId) => ({ deviceId, sharedSecret: `secret-of-${deviceId}`, createdAt })),
        );
        assert.deepEqual(conflicts, []);
      });
      const browser = await LookingBrowser.start(site);
      try {
        const page = await browser.visit();
        await logIn(page, await addApiKey(site, "viewer", "view"));
        await page.goto("/ui#devices");
        const tookMs: number[] = [];
        for (let i = 0; i < 3; i++) {
          const sinceMs = performance.now();
          await page.reload();
          await page.getByText("1 to 100 of 10,000").waitFor();
          tookMs.push(Math.round(performance.now() - sinceMs));
          const paint = await page.evaluate(
            "performance.getEntriesByName('first-contentful-paint')[0].startTime",
          );
          assert.ok(Number(paint) < PAINT_MAX_MS, `first paint after ${paint} ms`);
        }
        assert.ok(Math.min(...tookMs) < PAINT_MAX_MS, `the list after ${tookMs} ms`);
        const sinceMs = performance.now();
        await page.getByLabel("Find").fill("meter_09999");
        await page.getByText("1 to 1 of 1").waitFor();
        assert.ok(performance.now() - sinceMs < PAINT_MAX_MS);
      } finally {
        await browser.close();
      }
    });
  },
);

async function logInStep({ browser, keys }: Scene, page: Page): Promise<void> {
  await page.goto("/ui");
  await page.getByLabel("API key").fill("wrong");
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByText("This key is not known").waitFor();
  await page.getByLabel("API key").fill(keys.operate);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Overview" }).waitFor();
  const [cookie] = await page.context().cookies();
  assert.equal(cookie?.name, "__Host-session");
  assert.ok(cookie.httpOnly && cookie.secure && cookie.sameSite === "Strict");
  assert.ok(page.url().startsWith(browser.origin));
}

async function overviewStep(_: Scene, page: Page): Promise<void> {
  const state = page.getByRole("region", { name: "Is it well?" });
  await state.getByText("broker connected").waitFor();
  await state.getByText("backend takes readings").waitFor();
  await state.getByText("store can be written").waitFor();
  await state.getByText(/next to end/).waitFor();
  await page.getByRole("link", { name: /^6 Devices/ }).waitFor();
  await page.getByRole("link", { name: /^2 Dead letters/ }).waitFor();
}

async function rowHeads(page: Page): Promise<string[]> {
  return await page.getByRole("rowheader").allInnerTexts();
}

async function devicesStep(_: Scene, page: Page): Promise<void> {
  await open(page, "devices");
  await page.getByText("1 to 6 of 6").waitFor();
  await page.getByRole("button", { name: "Rejected" }).click();
  await page.getByRole("columnheader", { name: "Rejected" }).and(page.locator("[aria-sort]"))
    .waitFor();
  await page.getByRole("button", { name: "Rejected" }).click();
  await poll("the most rejected first", async () => (await rowHeads(page))[0] === "wrong_001");
  await page.getByLabel("Revoked").check({ force: true });
  await poll("the revoked", async () => (await rowHeads(page)).join() === "revoked_001");
  await page.getByLabel("All").check({ force: true });
  await page.getByLabel("Find").fill("STUCK");
  await poll("the one found", async () => (await rowHeads(page)).join() === "stuck_001");
  await page.reload();
  await poll("the same after a reload", async () => (await rowHeads(page)).join() === "stuck_001");
}

async function deviceStep(_: Scene, page: Page): Promise<void> {
  await open(page, "devices/wrong_001");
  const row = page.getByRole("row").filter({ hasText: "malformed" })
    .filter({ hasText: "timestamp" });
  await row.getByRole("button", { name: "Explain" }).click();
  await row.getByText(/milliseconds/).waitFor();
  await page.getByText("secure-iot-gateway device rotate wrong_001 --secret").waitFor();
  assert.doesNotMatch(await pageText(page), /online/i);
}

async function rejectionsStep(_: Scene, page: Page): Promise<void> {
  await open(page, "rejections");
  for (const code of ["replayed", "invalid_signature", "timestamp_out_of_range", "malformed"]) {
    await page.getByRole("row").filter({ hasText: code }).first().waitFor();
  }
  await page.getByLabel("Code").selectOption("replayed");
  await poll("only these", async () => (await rowHeads(page)).join() === "well_001");
}

async function liveStep({ devices }: Scene, page: Page): Promise<void> {
  await open(page, "live");
  await page.getByText("Following all devices").waitFor();
  const rows = page.getByRole("row").filter({ hasText: "invalid_signature" });
  const refuse = async () => {
    const { message } = await devices.wrong.sign('{"live":1}', { secret: "another" });
    await devices.wrong.publish(message);
    return performance.now();
  };
  const sinceMs = await refuse();
  await rows.first().waitFor();
  const tookMs = performance.now() - sinceMs;
  assert.ok(tookMs < LIVE_MAX_MS, `${tookMs} ms`);
  await page.getByRole("button", { name: "Pause" }).click();
  await refuse();
  await page.getByText("Paused; 1 event since").waitFor();
  assert.equal(await rows.count(), 1);
  await page.getByRole("button", { name: "Go on" }).click();
  await rows.nth(1).waitFor();
}

async function hostileStep(_: Scene, page: Page): Promise<void> {
  await open(page, "devices/revoked_001");
  await page.getByText(SHOWN).first().waitFor();
  await open(page, "commands");
  await page.getByText(SHOWN).first().waitFor();
  await open(page, "dead");
  const buttons = page.getByRole("button", { name: /^Show the payload/ });
  await poll("both to be shown", async () => {
    if (await buttons.count() > 0) await buttons.first().click();
    return await buttons.count() === 0;
  });
  const payloads = page.getByRole("group", { name: /^Payload of dead letter/ });
  await payloads.nth(1).waitFor();
  const texts = await payloads.allInnerTexts();
  assert.ok(
    texts.includes(`{"deadly":${JSON.stringify(SHOWN)}}`.replaceAll("\\\\", "\\")),
    "as text",
  );
  assert.ok(texts.some((text) => text.length > 65_000 && text.includes("<b>\\u202e")));
  await page.getByRole("group", { name: /^The backend's answer/ }).first().getByText(SHOWN)
    .waitFor();
  assert.equal(await page.locator("#page img[src=x], #page script, #page b").count(), 0);
}

async function waitingStep({ site }: Scene, page: Page): Promise<void> {
  await open(page, "waiting");
  await page.getByRole("row").filter({ hasText: "stuck_001" }).filter({ hasText: "status 500" })
    .getByRole("button", { name: /^Skip/ }).click();
  await page.getByRole("button", { name: "Skip it" }).click();
  await page.getByText(/is the dead letter/).waitFor();
  await page.getByText("Nothing that was tried waits").waitFor();
  await poll("nothing to wait", async () => await site.metric("pending") === 0);
}

async function commandsStep(_: Scene, page: Page): Promise<void> {
  await open(page, "commands");
  const row = page.getByRole("row").filter({ hasText: "silent_001" });
  await row.getByText("waiting").waitFor();
  await row.getByRole("button", { name: /^Cancel/ }).click();
  await page.getByRole("button", { name: "Cancel it" }).click();
  await page.getByText("it was never executed and never will be").waitFor();
  await row.getByText("cancelled").waitFor();
}

async function expiryStep(_: Scene, page: Page): Promise<void> {
  await open(page, "expiry");
  await page.getByRole("row").filter({ hasText: "well_001" }).waitFor();
  await page.getByRole("row").filter({ hasText: "broker.crt" }).or(
    page.getByRole("row").filter({ hasText: "gateway.crt" }),
  ).first().waitFor();
}

async function deadStep({ site }: Scene, page: Page): Promise<void> {
  await open(page, "dead");
  const rows = page.getByRole("row").filter({ hasText: "deadly_001" });
  await poll("both", async () => await rows.count() === 2);
  site.backend.answer = () => new Response('"yes"');
  const before = site.backend.received.length;
  await rows.first().getByRole("button", { name: /^Retry/ }).click();
  await page.getByText("1 dead letter put back").waitFor();
  await site.received(before + 1);
  await poll("one of it left", async () => await rows.count() === 1);
  await rows.first().getByRole("button", { name: /^Drop/ }).click();
  await page.getByRole("button", { name: "Drop it" }).click();
  await page.getByText("Dropped 1 dead letter").waitFor();
  await poll("none of it left", async () => await rows.count() === 0);
}

async function flowStep(_: Scene, page: Page): Promise<void> {
  await open(page, "overview");
  for (const title of ["Accepted", "Delivered", "Rejected", "Waiting"]) {
    await page.getByRole("img", { name: new RegExp(`^${title}, the last hour`) }).waitFor();
  }
  await page.locator("details").filter({ hasText: "Accepted" }).locator("summary").click();
  const numbers = page.getByRole("table", { name: "Accepted in each minute" });
  await numbers.getByRole("row").nth(1).waitFor({ timeout: 25_000 });
  await page.getByRole("listitem").filter({ hasText: /^invalid_signature/ }).waitFor();
}

async function keyboardStep({ browser, keys }: Scene): Promise<void> {
  const page = await browser.visit();
  await page.goto("/ui");
  await page.getByLabel("API key").waitFor();
  await page.keyboard.type(keys.view); // the field has the focus already
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Overview" }).waitFor();
  await page.keyboard.press("Tab");
  assert.equal(await focused(page), "Skip to the content");
  await tabTo(page, "Devices");
  await page.keyboard.press("Enter");
  await page.getByText(/of 6$/).waitFor();
  assert.equal(await focused(page), "Devices", "the heading has the focus");
  await tabTo(page, "Last message");
  assert.ok(
    await page.evaluate("getComputedStyle(document.activeElement).outlineStyle") !== "none",
  );
  await page.keyboard.press("Enter");
  await page.locator("[aria-sort=ascending]").filter({ hasText: "Last message" }).waitFor();
  await tabTo(page, "well_001");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "well_001" }).waitFor();
  await page.context().close();
}

async function focused(page: Page): Promise<string> {
  return await page.evaluate("(document.activeElement.innerText ?? '').trim()");
}

async function tabTo(page: Page, text: string): Promise<void> {
  for (let i = 0; i < 60; i++) {
    await page.keyboard.press("Tab");
    if ((await focused(page)).startsWith(text)) return;
  }
  assert.fail(`"${text}" cannot be reached by Tab`);
}

async function lookStep({ browser, keys }: Scene): Promise<void> {
  for (const [width, colorScheme] of [[320, "light"], [1280, "dark"]] as const) {
    const page = await browser.visit({ width, colorScheme, reducedMotion: "reduce" });
    await page.goto("/ui");
    await page.getByLabel("API key").waitFor();
    assert.deepEqual(await axeFindings(page), [], "log-in");
    await logIn(page, keys.operate);
    for (const section of SECTIONS) {
      await open(page, section);
      assert.deepEqual(await axeFindings(page), [], `${section}, ${width} px, ${colorScheme}`);
      const excess = await page.evaluate("document.documentElement.scrollWidth - innerWidth");
      assert.ok(Number(excess) <= 0, `${section} is ${excess} px too wide at ${width}`);
    }
    const ground = await page.evaluate(
      "getComputedStyle(document.documentElement).backgroundColor",
    );
    const isDark = Number(/\d+/.exec(String(ground))?.[0]) < 64;
    assert.equal(isDark, colorScheme === "dark");
    await page.context().close();
  }
}

async function viewStep({ browser, keys, site }: Scene): Promise<void> {
  const page = await browser.visit();
  await logIn(page, keys.view, "dead");
  await page.getByRole("row").nth(1).waitFor();
  assert.equal(await page.getByRole("button", { name: /Retry|Drop/ }).count(), 0);
  const [cookie] = await page.context().cookies();
  const headers = { authorization: "", cookie: `${cookie!.name}=${cookie!.value}` };
  const { status } = await site.api("/command/well_001", { method: "POST", body: "1", headers });
  assert.equal(status, 401, "the cookie is worth nothing there");
  await page.getByRole("button", { name: "Log out" }).click();
  await page.getByLabel("API key").waitFor();
  assert.deepEqual(await page.context().cookies(), []);
  await page.context().close();
}

async function removedKeyStep({ site }: Scene, page: Page): Promise<void> {
  await open(page, "overview");
  await withSiteStore(site, ({ apiKeys }) => apiKeys.remove("operator"));
  await page.getByText("The session is over: log in again").waitFor({ timeout: 15_000 });
}
