/** A live site in which everything has happened that the page shows. */

import type { DeviceClient } from "../../src/client/device_client.ts";
import { secondsOf } from "../../src/core/time.ts";
import { poll } from "../../src/time/poll.ts";
import type { LiveSite } from "./live_site.ts";
import { withSiteStore } from "./site_store.ts";

/** What a browser must show as text, whoever says it. */
export const HOSTILE =
  "<img src=x onerror=alert(1)>\u202egpj.exe\u202c</td><script>alert(2)</script>";

/** A topic's id that no certificate of ours names. */
export const HOSTILE_ID = "<b onclick=alert(3)>\u202egpj.exe\u202c";

/** A payload that the backend refuses. */
const DEADLY = `{"deadly":${JSON.stringify(HOSTILE)}}`;

/** Nearly as long as a message may be. */
const LONG_DEADLY = `{"deadly":"${"<b>\u202e".repeat(10_000)}"}`;

/** A broker that lets a device speak for others, as a badly configured one would. */
export async function letDevicesNameOthers(site: LiveSite): Promise<void> {
  await site.stopBroker();
  await Deno.writeTextFile(site.layout.aclDevices, "pattern write device/+/data\n", {
    append: true,
  });
  await site.startBroker();
}

/** Answers 422 to what is deadly and 500 to what is stuck, each with a page of its own. */
function makeBackendPicky(site: LiveSite): void {
  site.backend.answer = ({ text }) => {
    const headers = { "content-type": "text/html", "retry-after": "3600" };
    if (text.startsWith('{"deadly"')) return new Response(HOSTILE, { status: 422, headers });
    if (text.startsWith('{"stuck"')) return new Response(HOSTILE, { status: 500, headers });
    return new Response('{"status":"received"}');
  };
}

/** The devices of a busy site. */
export interface BusyDevices {
  readonly well: DeviceClient;
  readonly wrong: DeviceClient;
  readonly deadly: DeviceClient;
}

/** Makes it all happen; resolves when it has. */
export async function makeBusy(site: LiveSite): Promise<BusyDevices> {
  makeBackendPicky(site);
  const [well, wrong, deadly, stuck] = await Promise.all(
    ["well_001", "wrong_001", "deadly_001", "stuck_001"].map((id) => site.device(id)),
  ) as [DeviceClient, DeviceClient, DeviceClient, DeviceClient];
  await site.register("silent_001");
  await site.register("revoked_001");
  await revoke(site, "revoked_001");

  const { message } = await well.send('{"temperature":22.5}');
  await well.publish(message); // replayed
  await refuse(wrong);
  await deadly.send(DEADLY);
  await deadly.send(LONG_DEADLY);
  await stuck.send('{"stuck":1}');
  await makeCommands(site, well);
  await poll(
    "all of it",
    async () => await site.metric("dead_letters") === 2 && await site.metric("pending") === 1,
  );
  return { well, wrong, deadly };
}

/** One message of each usual mistake. */
async function refuse(device: DeviceClient): Promise<void> {
  const seconds = secondsOf(Date.now());
  const other = await device.sign('{"n":1}', { secret: "another" });
  await device.publish(other.message);
  const early = await device.sign('{"n":2}', { timestamp: seconds - 4_000 });
  await device.publish(early.message);
  const { message } = await device.sign('{"n":3}');
  await device.publish(message.replace(/"timestamp":\d{10}/, `"timestamp":${Date.now()}`));
  await device.publish(JSON.stringify({ [HOSTILE]: HOSTILE }));
  await device.publish(message, { topic: `device/${HOSTILE_ID}/data` });
}

/** One that waits for its device, and one that its device has done. */
async function makeCommands(site: LiveSite, device: DeviceClient): Promise<void> {
  const ask = async (id: string) => {
    const init = { method: "POST", body: '{"action":"open"}', headers: { ttl: "3600" } };
    return await (await site.api(`/command/${id}`, init)).json();
  };
  await ask("silent_001");
  await ask(device.deviceId);
  const { messageId } = await device.command();
  await device.acknowledge(messageId, { state: "failed", reason: HOSTILE });
}

async function revoke(site: LiveSite, id: string): Promise<void> {
  await withSiteStore(site, async ({ registry }) => {
    await registry.revoke(id, { revokedAt: secondsOf(Date.now()), reason: HOSTILE });
  });
}
