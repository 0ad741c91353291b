/** `commands list` and `show`, on a store that no gateway works on. */

import assert from "node:assert/strict";
import type { Acknowledgement, Command } from "../../../src/core/command_life.ts";
import { openStore } from "../../../src/store/open_store.ts";
import { siteLayout } from "../../../src/site/layout.ts";
import { ACCEPTED, wordOf } from "../../support/sample_command.ts";
import { shell } from "../../support/shell.ts";
import { withFolder } from "../../support/with_folder.ts";
import { accept } from "../../unit/store/contract/commands_contract.ts";
import { batch, messagesOf } from "../../unit/store/contract/sample_batch.ts";

const LONG_ID = "d".repeat(64);
/** What a device may put into a word to fool a terminal. */
const HOSTILE = '{"state":"failed","reason":"\u009b2J\u202etxt","upTime":22.50}';

interface CommandSite {
  readonly ids: readonly string[];
  run(...args: string[]): ReturnType<typeof shell>;
}

/** Three commands: of a device with a long id, of another that waits, and one that has failed. */
async function withCommands(work: (site: CommandSite) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    const dir = `${folder}/site`;
    const run = (...args: string[]) => shell([...args, "--dir", dir]);
    for (const args of [["init"], ["device", "add", LONG_ID], ["device", "add", "sensor_001"]]) {
      const { code, stderr } = await run(...args);
      assert.equal(code, 0, stderr);
    }
    const ids = [LONG_ID, "sensor_001", "sensor_001"].map(() => crypto.randomUUID());
    await write(dir, [
      { ...ACCEPTED, messageId: ids[0]!, deviceId: LONG_ID },
      { ...ACCEPTED, messageId: ids[1]!, deviceId: "sensor_001" },
      { ...ACCEPTED, messageId: ids[2]!, deviceId: "sensor_001", state: "sent", sends: 1 },
    ], { ...wordOf("failed"), payload: new TextEncoder().encode(HOSTILE) });
    await work({ ids, run });
  });
}

/** Accepts commands as a gateway does; the device has a word on the last. */
async function write(
  dir: string,
  commands: readonly Command[],
  acknowledgement: Acknowledgement,
): Promise<void> {
  const store = await openStore({ database: siteLayout(dir).database }, { author: "gateway" });
  try {
    const messages = messagesOf(store);
    await messages.commit(batch({ commandChanges: commands.map((one) => accept(one)) }));
    const { deviceId: identity, messageId } = commands.at(-1)!;
    const word = { kind: "acknowledgement", identity, messageId, acknowledgement } as const;
    await messages.commit(batch({ examined: [word] }));
  } finally {
    await store.close();
  }
}

Deno.test("commands list shows all in 80 columns, the one that was asked for first on top", async () => {
  await withCommands(async ({ ids, run }) => {
    const { code, stdout } = await run("commands", "list");
    assert.equal(code, 0);
    const lines = stdout.trimEnd().split("\n");
    assert.ok(lines.every((line) => line.length <= 80), stdout);
    assert.match(lines[0]!, /^MESSAGE ID {28}STATE {12}AGE {2}DEVICE$/);
    assert.match(lines[1]!, new RegExp(`^${ids[0]}  waiting +\\d+ (s|min|h|d)$`));
    assert.equal(lines[2], `  ${LONG_ID}`);
    assert.match(lines[3]!, new RegExp(`^${ids[1]}  waiting +\\d+ \\w+  sensor_001$`));
    assert.match(lines[4]!, new RegExp(`^${ids[2]}  failed +\\d+ \\w+  sensor_001$`));
    assert.equal(lines.length, 5);
  });
});

Deno.test("commands list takes a device and a state, and names what there is not", async () => {
  await withCommands(async ({ ids, run }) => {
    const waiting = await run("commands", "list", "sensor_001", "--state", "waiting", "--json");
    const found = JSON.parse(waiting.stdout);
    assert.deepEqual(found.map((one: { message_id: string }) => one.message_id), [ids[1]]);
    assert.equal((await run("commands", "list", "--state", "expired", "--json")).stdout, "[\n]\n");
    const unknown = await run("commands", "list", "nobody");
    assert.deepEqual([unknown.code, unknown.stdout], [1, ""]);
    assert.match(unknown.stderr, /^error: There is no device "nobody"\nhint: /);
    const delivered = await run("commands", "list", "--state", "delivered");
    assert.equal(delivered.code, 2);
    assert.match(delivered.stderr, /^error: .*delivered.*Allowed choices are waiting, sent, /);
  });
});

Deno.test("commands show says what the state means; a device's text moves no cursor", async () => {
  await withCommands(async ({ ids, run }) => {
    const { code, stdout } = await run("commands", "show", ids[2]!.toUpperCase());
    assert.equal(code, 0);
    assert.match(stdout, /^state: failed\nmeans: the device says that it tried and failed\n/);
    assert.match(stdout, /^device_id: sensor_001$/m);
    assert.match(
      stdout,
      /^acknowledgement, escaped for the terminal: .*\\u009b2J\\u202etxt","upTime":22\.50\}$/m,
    );
    assert.doesNotMatch(stdout, /[\u009b\u202e]/);
  });
});

Deno.test("commands show --json keeps the device's word as a text, byte for byte", async () => {
  await withCommands(async ({ ids, run }) => {
    const { stdout } = await run("commands", "show", ids[2]!, "--json");
    assert.doesNotMatch(stdout, /[\u009b\u202e]/);
    const shown = JSON.parse(stdout);
    assert.deepEqual(shown, {
      device_id: "sensor_001",
      message_id: ids[2],
      state: "failed",
      delivery: null,
      key: "backend",
      created_at: new Date(1000 * ACCEPTED.createdSeconds).toISOString(),
      expires_at: new Date(1000 * ACCEPTED.expiresSeconds).toISOString(),
      sends: 1,
      last_sent_at: null,
      withdrawn: false,
      acknowledgement: {
        received_at: new Date(1000 * ACCEPTED.createdSeconds).toISOString(),
        timestamp: ACCEPTED.createdSeconds,
        payload: HOSTILE,
      },
    });
  });
});

Deno.test("commands show names the slip: no UUID, or none that is known", async () => {
  await withCommands(async ({ run }) => {
    const noId = await run("commands", "show", "sensor_001");
    assert.equal(noId.code, 2);
    assert.match(noId.stderr, /^error: There is no command "sensor_001": .*\nhint: See .*list\n$/);
    const messageId = crypto.randomUUID();
    const none = await run("commands", "show", messageId);
    assert.equal(none.code, 1);
    assert.match(none.stderr, new RegExp(`^error: There is no command ${messageId}\nhint: `));
  });
});
