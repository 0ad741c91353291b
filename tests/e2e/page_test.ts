/**
 * The page, as an operator sees it in a real browser.
 *
 * One gateway and one browser for all of it; the steps use what the ones before have left.
 */

import assert from "node:assert/strict";
import type { Page } from "playwright-core";
import { poll } from "../../src/time/poll.ts";
import { CHROMIUM } from "../support/browser.ts";
import { HOSTILE, HOSTILE_ID } from "../support/busy_site.ts";
import { addApiKey, withSiteStore } from "../support/site_store.ts";
import { logIn, open, type PageScene, withPageScene } from "../support/page_scene.ts";

/** What a hostile text looks like when it is a text. */
const SHOWN = HOSTILE.replace("\u202e", "\\u202e").replace("\u202c", "\\u202c");

const SHOWN_ID = HOSTILE_ID.replace("\u202e", "\\u202e").replace("\u202c", "\\u202c");

/** How soon a live rejection is there, milliseconds, at the best of so many tries. */
const LIVE_MAX_MS = 1_000;
const LIVE_TRIES = 3;

async function pageText(page: Page): Promise<string> {
  return await page.locator("body").innerText();
}

Deno.test("the page in a real browser", { ignore: CHROMIUM === undefined }, async (t) => {
  await withPageScene(async (scene) => {
    const { browser } = scene;
    const page = await browser.visit();
    await t.step("a wrong key does not get in, the right one does", () => logInStep(scene, page));
    const step = (name: string, work: (scene: PageScene, page: Page) => Promise<void>) =>
      t.step(name, () => work(scene, page));
    await step("is it well, at a look", overviewStep);
    await step("devices are found, sorted and filtered", devicesStep);
    await step("a device's page says the likely mistake", deviceStep);
    await step("what needs more is a command to copy", copyStep);
    await step("what was refused, by device and code", rejectionsStep);
    await step("a rejection is in the live tail within a second; a pause holds it", liveStep);
    await step("hostile texts are texts", hostileStep);
    await step("what is stuck is skipped", waitingStep);
    await step("a command is cancelled", commandsStep);
    await step("what ends, soonest first", expiryStep);
    await step("a dead letter is sent again", deadStep);
    await step("four charts, each with its numbers as a table", flowStep);
    assert.deepEqual(browser.errors.filter((error) => !/ 40[14] /.test(error)), []);
    await t.step("a key that may look sees no way to change", () => viewStep(scene));
    await t.step("a key for one device sees that one", () => boundStep(scene));
    await t.step(
      "what is wrong is said in words; while the gateway is away, what was there stays",
      () => awayStep(scene),
    );
    await t.step("a removed key ends the session", () => removedKeyStep(scene, page));
  });
});

async function logInStep({ browser, keys }: PageScene, page: Page): Promise<void> {
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

async function overviewStep(_: PageScene, page: Page): Promise<void> {
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

async function devicesStep(_: PageScene, page: Page): Promise<void> {
  await open(page, "devices");
  await page.getByText("1 to 6 of 6").waitFor();
  await page.getByRole("button", { name: "Rejected" }).click();
  await page.getByRole("columnheader", { name: "Rejected" })
    .and(page.locator("[aria-sort=descending]")).waitFor();
  await poll("the most rejected first", async () => (await rowHeads(page))[0] === "wrong_001");
  await page.getByLabel("Revoked").check({ force: true });
  await poll("the revoked", async () => (await rowHeads(page)).join() === "revoked_001");
  await page.getByLabel("All").check({ force: true });
  await page.getByLabel("Find").fill("STUCK");
  await poll("the one found", async () => (await rowHeads(page)).join() === "stuck_001");
  await page.reload();
  await poll("the same after a reload", async () => (await rowHeads(page)).join() === "stuck_001");
}

async function deviceStep(_: PageScene, page: Page): Promise<void> {
  await open(page, "devices/wrong_001");
  const row = page.getByRole("row").filter({ hasText: "malformed" })
    .filter({ hasText: "timestamp" });
  await row.getByRole("button", { name: "Explain" }).click();
  await row.getByText(/milliseconds/).waitFor();
  await page.getByText("secure-iot-gateway device rotate wrong_001 --secret").waitFor();
  assert.doesNotMatch(await pageText(page), /online/i);
}

async function copyStep(_: PageScene, page: Page): Promise<void> {
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await page.getByRole("button", { name: "Copy: A new secret:" }).click();
  await page.getByText("Copied").waitFor();
  const copied = await page.evaluate("navigator.clipboard.readText()");
  assert.equal(copied, "secure-iot-gateway device rotate wrong_001 --secret");
}

async function rejectionsStep(_: PageScene, page: Page): Promise<void> {
  await open(page, "rejections");
  for (const code of ["replayed", "invalid_signature", "timestamp_out_of_range", "malformed"]) {
    await page.getByRole("row").filter({ hasText: code }).first().waitFor();
  }
  await page.getByLabel("Code").selectOption("replayed");
  await poll("only these", async () => (await rowHeads(page)).join() === "well_001");
}

async function liveStep({ devices }: PageScene, page: Page): Promise<void> {
  await open(page, "live");
  await page.getByText("Following all devices").waitFor();
  const rows = page.getByRole("row").filter({ hasText: "invalid_signature" });
  const refuse = async () => {
    const { message } = await devices.wrong.sign('{"live":1}', { secret: "another" });
    await devices.wrong.publish(message);
  };
  const tookMs: number[] = [];
  for (let i = 0; i < LIVE_TRIES; i++) {
    const sinceMs = performance.now();
    await refuse();
    await rows.nth(i).waitFor();
    tookMs.push(performance.now() - sinceMs);
  }
  assert.ok(Math.min(...tookMs) < LIVE_MAX_MS, `${tookMs} ms`);
  await page.getByRole("button", { name: "Pause", exact: true }).click();
  await refuse();
  await page.getByText("Paused; 1 event since").waitFor();
  assert.equal(await rows.count(), LIVE_TRIES);
  await page.getByRole("button", { name: "Go on" }).click();
  await rows.nth(LIVE_TRIES).waitFor();
}

async function hostileStep(_: PageScene, page: Page): Promise<void> {
  await open(page, "devices/revoked_001");
  await page.getByText(SHOWN).first().waitFor();
  await open(page, "commands");
  await page.getByText(SHOWN).first().waitFor();
  await open(page, "rejections");
  await page.getByRole("link", { name: SHOWN_ID }).click();
  await page.getByRole("heading", { name: SHOWN_ID }).waitFor();
  await page.getByText("It is not registered").waitFor();
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

async function waitingStep({ site }: PageScene, page: Page): Promise<void> {
  await open(page, "waiting");
  await page.getByRole("row").filter({ hasText: "stuck_001" }).filter({ hasText: "status 500" })
    .getByRole("button", { name: /^Skip/ }).click();
  await page.getByRole("button", { name: "Skip it" }).click();
  await page.getByText(/is the dead letter/).waitFor();
  await page.getByText("Nothing that was tried waits").waitFor();
  await poll("nothing to wait", async () => await site.metric("pending") === 0);
}

async function commandsStep(_: PageScene, page: Page): Promise<void> {
  await open(page, "commands");
  const row = page.getByRole("row").filter({ hasText: "silent_001" });
  await row.getByText("waiting").waitFor();
  await row.getByRole("button", { name: /^Cancel/ }).click();
  await page.getByRole("button", { name: "Cancel it" }).click();
  await page.getByText("it was never executed and never will be").waitFor();
  await row.getByText("cancelled").waitFor();
}

async function expiryStep(_: PageScene, page: Page): Promise<void> {
  await open(page, "expiry");
  await page.getByRole("row").filter({ hasText: "well_001" }).waitFor();
  await page.getByRole("row").filter({ hasText: "broker.crt" }).or(
    page.getByRole("row").filter({ hasText: "gateway.crt" }),
  ).first().waitFor();
}

async function deadStep({ site }: PageScene, page: Page): Promise<void> {
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
  assert.match(String(await page.evaluate("document.activeElement.textContent")), /Dropped 1/);
  await poll("none of it left", async () => await rows.count() === 0);
}

async function flowStep({ site }: PageScene, page: Page): Promise<void> {
  site.passedMs += 20_000; // the interval is over in which all of it was
  await open(page, "overview");
  for (const title of ["Accepted", "Delivered", "Rejected", "Waiting"]) {
    await page.getByRole("img", { name: new RegExp(`^${title}, the last hour`) }).waitFor();
  }
  await page.locator("details").filter({ hasText: "Accepted" }).locator("summary").click();
  const numbers = page.getByRole("table", { name: "Accepted in each minute" });
  await numbers.getByRole("row").nth(1).waitFor();
  await page.getByRole("listitem").filter({ hasText: /^invalid_signature/ }).waitFor();
}

async function viewStep({ browser, keys, site }: PageScene): Promise<void> {
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

async function boundStep({ browser, site }: PageScene): Promise<void> {
  const deviceIds = ["deadly_001"];
  const page = await browser.visit();
  await logIn(page, await addApiKey(site, "partner", { role: "operate", deviceIds }));
  await page.getByRole("link", { name: /^1 Devices/ }).waitFor();
  assert.equal(await page.getByRole("link", { name: /Dead letters/ }).count(), 1, "no count");
  await page.getByText("Of all devices, also those that your key is not for.").waitFor();
  for (const section of ["rejections", "waiting", "dead", "commands", "expiry", "live"]) {
    await open(page, section);
    assert.doesNotMatch(await pageText(page), /(well|wrong|stuck|silent|revoked)_001/, section);
  }
  await page.context().close();
}

async function awayStep({ browser, devices, keys, site }: PageScene): Promise<void> {
  const page = await browser.visit();
  await page.clock.install();
  await logIn(page, keys.view);
  await page.getByRole("link", { name: /^6 Devices/ }).waitFor();
  site.backend.answer = () => new Response(null, { status: 401 });
  await devices.well.send("1");
  await site.logged("backend_failing");
  await page.clock.runFor(6_000);
  await page.getByText("It works, but not all is well").first().waitFor();
  await page.getByText(/the backend answers 401/).waitFor();
  await site.stopBroker();
  await site.logged("broker_disconnected");
  await page.clock.runFor(6_000);
  await page.getByText("It takes no messages").first().waitFor();
  await page.getByText("broker not connected").waitFor();
  await site.stopGateway();
  await page.clock.runFor(6_000);
  await page.getByText(/^The gateway does not answer: this is from/).first().waitFor();
  assert.match(await pageText(page), /6\s+Devices/);
  await site.startBroker();
  await site.startGateway();
  await page.clock.runFor(6_000);
  await page.getByText("The session is over: log in again").waitFor();
  await logIn(page, keys.view);
  await page.getByRole("region", { name: "Is it well?" }).waitFor();
  await page.context().close();
}

async function removedKeyStep({ keys, site }: PageScene, page: Page): Promise<void> {
  await page.clock.install();
  await logIn(page, keys.operate);
  await withSiteStore(site, ({ apiKeys }) => apiKeys.remove("operator"));
  await page.clock.runFor(6_000);
  await page.getByText("The session is over: log in again").waitFor({ timeout: 15_000 });
}
