/** The recipe in docs/backend/commands.md, as it stands there, against a real door. */

import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { DeviceClient } from "../../src/client/device_client.ts";
import { type LiveSite, withLiveSite } from "../support/live_site.ts";

const PAGE = fileURLToPath(new URL("../../docs/backend/commands.md", import.meta.url));
const RECIPE = "## Unlock a door exactly once";
const DOOR = "door_7";

/** The blocks of shell below the recipe's heading. */
function recipe(): readonly string[] {
  const [, section] = Deno.readTextFileSync(PAGE).split(`${RECIPE}\n`);
  const [text] = section!.split("\n## ");
  return [...text!.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block]) => block!);
}

/** Runs blocks one after the other beside the site's folder; returns what they print. */
async function shell(site: LiveSite, blocks: readonly string[]): Promise<string> {
  const script = blocks.join("").replaceAll("localhost:8443", `localhost:${site.config.api.port}`);
  const command = new Deno.Command("bash", {
    args: ["-euo", "pipefail", "-c", script],
    cwd: dirname(site.layout.directory),
  });
  const { code, stdout, stderr } = await command.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  assert.equal(code, 0, text(stderr));
  return text(stdout);
}

function fileOf(site: LiveSite, name: string): string {
  return Deno.readTextFileSync(join(dirname(site.layout.directory), name));
}

function stateIn(site: LiveSite): string {
  return JSON.parse(fileOf(site, "record.json")).state;
}

async function withDoor(work: (site: LiveSite, door: DeviceClient) => Promise<void>) {
  const settings = { COMMANDS_WAIT_LONGEST: "2s" };
  await withLiveSite(async (site) => work(site, await site.device(DOOR)), { settings });
}

const OPTIONS = { ignore: !hasCurl() };

function hasCurl(): boolean {
  try {
    return new Deno.Command("curl", { args: ["--version"] }).outputSync().success;
  } catch {
    return false;
  }
}

Deno.test(
  "the door opens once, however often it is asked for, and the record says so",
  OPTIONS,
  async () => {
    const [begin, unlock, follow, change] = recipe() as [string, string, string, string];
    await withDoor(async (site, door) => {
      const asked = shell(site, [begin, unlock]);
      const { messageId, payload } = await door.command();
      assert.equal(payload, '{"action":"unlock"}');
      await door.acknowledge(messageId, { state: "running" });
      await asked;
      assert.equal(stateIn(site), "running");
      await shell(site, [begin, unlock]);
      assert.match(fileOf(site, "answer.txt"), /^idempotent-replayed: true\r$/im);
      assert.equal(door.commandsWaiting, 0);
      const followed = shell(site, [begin, unlock, follow]);
      await door.acknowledge(messageId, { state: "done" });
      await followed;
      assert.equal(stateIn(site), "done");
      assert.equal(await shell(site, [begin, unlock, change]), "409\n");
      assert.equal(door.commandsWaiting, 0);
    });
  },
);

Deno.test(
  "a wish that was taken back may still come true, and the record tells",
  OPTIONS,
  async () => {
    const [begin, unlock, , change] = recipe() as [string, string, string, string];
    await withDoor(async (site, door) => {
      assert.equal(await shell(site, [begin, unlock, change]), "202\n");
      const { state, withdrawn } = JSON.parse(fileOf(site, "record.json"));
      assert.deepEqual([state, withdrawn], ["sent", true]);
      await door.acknowledge((await door.command()).messageId, { state: "done" });
      await site.logged("command_state_changed", (line) => line["state"] === "done");
      assert.equal(await shell(site, [begin, unlock, change]), "409\n");
    });
  },
);
