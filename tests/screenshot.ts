/**
 * `deno task screenshot`: the page's pictures in docs/images/, of a real gateway with a real Mosquitto.
 *
 * An hour passes in a few seconds, since the gateway's clocks are told so; all else is as it is.
 */

import { secondsOf } from "../src/core/time.ts";
import { poll } from "../src/time/poll.ts";
import type { DeviceClient } from "../src/client/device_client.ts";
import { CHROMIUM, LookingBrowser } from "./support/browser.ts";
import { makeBusy } from "./support/busy_site.ts";
import { addApiKey } from "./support/site_store.ts";
import { type LiveSite, withLiveSite } from "./support/live_site.ts";

const FOLDER = "docs/images";
const MINUTES = 60;
const MINUTE_MS = 60_000;

if (CHROMIUM === undefined) Deno.exit(1);
Deno.mkdirSync(FOLDER, { recursive: true });
await withLiveSite(async (site) => {
  site.clockOffsetMs = -MINUTES * MINUTE_MS;
  await site.startGateway();
  await passHour(site);
  await makeBusy(site);
  const key = await addApiKey(site, "shift", { role: "operate" });
  const browser = await LookingBrowser.start(site);
  try {
    for (const colorScheme of ["light", "dark"] as const) await picture(browser, key, colorScheme);
  } finally {
    await browser.close();
  }
}, { start: false });

/** Devices send as on a day that is not quite calm. */
async function passHour(site: LiveSite): Promise<void> {
  const ids = ["pump_01", "pump_02", "valve_07", "meter_113", "meter_114"];
  const devices = await Promise.all(ids.map((id) => site.device(id)));
  for (let minute = 0; minute < MINUTES; minute++) {
    const count = 14 + Math.round(8 * Math.sin(minute / 9) + 3 * Math.sin(minute * 0.9));
    await Promise.all(Array.from({ length: count }, (_, i) => send(site, devices[i % 5]!, i)));
    if (minute % 17 > 12) await forge(site, devices[3]!, minute % 17 - 10);
    if (minute > 30 && minute < 36) await late(site, devices[1]!);
    await poll("all delivered", async () => await site.metric("pending") === 0);
    site.passedMs += MINUTE_MS;
  }
}

function nowAt({ clockOffsetMs, passedMs }: LiveSite): number {
  return secondsOf(Date.now() + clockOffsetMs + passedMs);
}

async function send(site: LiveSite, device: DeviceClient, i: number): Promise<void> {
  const { message } = await device.sign(`{"temperature":${20 + i / 10}}`, {
    timestamp: nowAt(site),
  });
  await device.publish(message);
}

async function forge(site: LiveSite, device: DeviceClient, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const secret = "another";
    const { message } = await device.sign("1", { timestamp: nowAt(site), secret });
    await device.publish(message);
  }
}

async function late(site: LiveSite, device: DeviceClient): Promise<void> {
  const { message } = await device.sign("1", { timestamp: nowAt(site) - 3_600 });
  await device.publish(message);
}

async function picture(browser: LookingBrowser, key: string, colorScheme: "light" | "dark") {
  const page = await browser.visit({ width: 1200, height: 940, colorScheme });
  await page.goto("/ui");
  await page.getByLabel("API key").fill(key);
  await page.keyboard.press("Enter");
  await page.getByRole("img", { name: /^Rejected, the last hour: [1-9]/ }).waitFor();
  await page.evaluate("document.activeElement.blur()");
  await page.screenshot({ path: `${FOLDER}/page_${colorScheme}.png` });
  await page.context().close();
}
