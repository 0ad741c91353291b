/** How the page looks: at each width, light and dark, by keyboard, read aloud, and how soon. */

import assert from "node:assert/strict";
import axeSource from "axe-core" with { type: "text" };
import type { Page } from "playwright-core";
import { secondsOf } from "../../src/core/time.ts";
import { poll } from "../../src/time/poll.ts";
import { CHROMIUM, LookingBrowser } from "../support/browser.ts";
import { addApiKey, withSiteStore } from "../support/site_store.ts";
import { withLiveSite } from "../support/live_site.ts";
import { logIn, open, type PageScene, withPageScene } from "../support/page_scene.ts";

const SECTIONS = [
  ...["overview", "devices", "devices/wrong_001", "rejections", "waiting", "dead", "commands"],
  ...["expiry", "live"],
];

type Scheme = "light" | "dark";

const LOOKS: readonly (readonly [width: number, scheme: Scheme])[] = [[320, "light"], [
  1280,
  "dark",
]];

/** So many rules apply to every section. */
const AXE_LEAST_PASSED = 15;
const AXE_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

/** How soon, at the best of three tries, something is painted, and the first of so many devices. */
const PAINT_MAX_MS = 1_000;
const MANY = 10_000;

const OPTIONS = { ignore: CHROMIUM === undefined };

Deno.test("the page by keyboard alone, and at every width", OPTIONS, async (t) => {
  await withPageScene(async (scene) => {
    await t.step("everything by keyboard alone", () => keyboardStep(scene));
    for (const [width, scheme] of LOOKS) {
      const name = `${width} px: nothing is too wide, and axe finds nothing, light and dark`;
      await t.step(name, () => lookStep(scene, width, scheme));
    }
    await t.step("times are those of the browser's zone", () => zoneStep(scene));
    await t.step(
      "updates can be paused, and a tab that nobody sees asks for nothing",
      () => hiddenStep(scene),
    );
    assert.deepEqual(scene.browser.errors.filter((error) => !/ 401 /.test(error)), []);
  });
});

Deno.test("10,000 devices are painted within a second", OPTIONS, async () => {
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
      await logIn(page, await addApiKey(site, "viewer", { role: "view" }));
      await page.goto("/ui#devices");
      const tookMs: number[] = [];
      const paintedMs: number[] = [];
      for (let i = 0; i < 3; i++) {
        const sinceMs = performance.now();
        await page.reload();
        await page.getByText("1 to 100 of 10,000").waitFor();
        tookMs.push(Math.round(performance.now() - sinceMs));
        paintedMs.push(
          await page.evaluate(
            "performance.getEntriesByName('first-contentful-paint')[0].startTime",
          ),
        );
      }
      assert.ok(Math.min(...paintedMs) < PAINT_MAX_MS, `the first paint after ${paintedMs} ms`);
      assert.ok(Math.min(...tookMs) < PAINT_MAX_MS, `the list after ${tookMs} ms`);
      await page.getByRole("button", { name: "Next" }).click();
      await page.getByText("101 to 200 of 10,000").waitFor();
      await page.getByRole("rowheader", { name: "meter_00100" }).waitFor();
      await page.getByRole("button", { name: "Previous" }).click();
      await page.getByRole("rowheader", { name: "meter_00000" }).waitFor();
      await page.getByLabel("Find").fill("meter_09999");
      await page.getByText("1 to 1 of 1").waitFor();
    } finally {
      await browser.close();
    }
  });
});

async function keyboardStep({ browser, keys }: PageScene): Promise<void> {
  const page = await browser.visit();
  await page.goto("/ui");
  await page.getByLabel("API key").waitFor();
  await page.keyboard.type(keys.operate); // the field has the focus already
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
  await tabTo(page, "Dead letters");
  await page.keyboard.press("Enter");
  await page.getByText(/of 2$/).waitFor();
  await tabTo(page, "Drop all");
  await page.keyboard.press("Enter");
  assert.equal(await focused(page), "Keep");
  await page.keyboard.press("Escape");
  assert.equal(await focused(page), "Drop all", "the focus is back");
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

async function lookStep({ browser, keys, devices }: PageScene, width: number, scheme: Scheme) {
  const page = await browser.visit({ width, colorScheme: scheme, reducedMotion: "reduce" });
  await page.goto("/ui");
  await page.getByLabel("API key").waitFor();
  await assertLooksWell(page, "log-in", scheme);
  const moves = await page.evaluate(
    "getComputedStyle(document.querySelector('button')).transitionDuration",
  );
  assert.equal(moves, "0s", "less motion is wanted");
  await logIn(page, keys.operate);
  for (const section of SECTIONS) {
    await open(page, section);
    if (section === "live") await devices.wrong.publish("{");
    await unfold(page);
    await assertLooksWell(page, section, scheme);
    if (section === "devices") assert.equal(await page.getByRole("columnheader").count(), 6);
    const excess = await page.evaluate("document.documentElement.scrollWidth - innerWidth");
    assert.ok(Number(excess) <= 0, `${section} is ${excess} px too wide`);
  }
  await page.context().close();
}

async function zoneStep({ browser, devices, keys }: PageScene): Promise<void> {
  const timezoneId = "Asia/Kathmandu"; // a quarter of an hour off the full ones
  const page = await browser.visit({ timezoneId });
  await logIn(page, keys.view, "live");
  await page.getByText("Following all devices").waitFor();
  await devices.wrong.publish("{");
  const shown = await page.getByRole("rowheader").first().innerText();
  const time = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium", timeZone: timezoneId });
  const [now, before] = [Date.now(), Date.now() - 60_000].map((ms) => time.format(ms).slice(0, 5));
  assert.ok([now, before].includes(shown.slice(0, 5)), `${shown} at ${now}`);
  await page.context().close();
}

async function hiddenStep({ browser, keys }: PageScene): Promise<void> {
  const page = await browser.visit();
  await page.clock.install();
  await logIn(page, keys.view);
  let asked: string[] = [];
  page.on("request", (request) => asked.push(new URL(request.url()).pathname));
  await page.clock.runFor(6_000);
  await poll("the overview, again", () => asked.includes("/ui/api/overview"));
  const show = (isHidden: boolean) =>
    page.evaluate(
      `Object.defineProperty(document, "hidden", { value: ${isHidden}, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"))`,
    );
  await page.getByRole("button", { name: "Pause updates" }).click();
  await page.clock.runFor(1_000);
  asked = [];
  await page.clock.runFor(30_000);
  assert.equal(asked.join(), "", "paused");
  await page.getByRole("button", { name: "Resume updates" }).click();
  await show(true);
  await page.clock.runFor(1_000);
  asked = [];
  await page.clock.runFor(60_000);
  assert.equal(asked.join(), "");
  await show(false);
  await poll("the overview, at once", () => asked.includes("/ui/api/overview"));
  await page.context().close();
}

/** Opens what is folded or asked for. */
async function unfold(page: Page): Promise<void> {
  for (const summary of await page.locator("summary").all()) await summary.click();
  for (const name of ["Explain this one", "Show the payload", "Show all", "Menu"]) {
    const button = page.getByRole("button", { name }).first();
    if (await button.isVisible()) await button.click();
  }
}

/** In the other scheme only colours differ. */
async function assertLooksWell(page: Page, what: string, scheme: Scheme): Promise<void> {
  assert.deepEqual(await axeFindings(page, AXE_RULES), [], `${what}, ${scheme}`);
  const other = scheme === "light" ? "dark" : "light";
  await page.emulateMedia({ colorScheme: other });
  assert.equal(await isDark(page), other === "dark");
  assert.deepEqual(await axeFindings(page, ["color-contrast"]), [], `${what}, ${other}`);
  await page.emulateMedia({ colorScheme: scheme });
}

async function axeFindings(page: Page, rules: readonly string[]): Promise<unknown[]> {
  if (!await page.evaluate("'axe' in window")) await page.evaluate(axeSource);
  const options = JSON.stringify({ runOnly: rules });
  const { passed, findings } = await page.evaluate<{ passed: number; findings: unknown[] }>(
    `axe.run(${options}).then(({ passes, violations }) => ({ passed: passes.length,
      findings: violations.map(({ id, nodes }) => [id, nodes[0].html, nodes[0].failureSummary]) }))`,
  );
  const least = rules === AXE_RULES ? AXE_LEAST_PASSED : 1;
  assert.ok(passed >= least, `axe has looked at ${passed} rules only`);
  return findings;
}

async function isDark(page: Page): Promise<boolean> {
  const ground = await page.evaluate("getComputedStyle(document.documentElement).backgroundColor");
  return Number(/\d+/.exec(String(ground))?.[0]) < 64;
}
