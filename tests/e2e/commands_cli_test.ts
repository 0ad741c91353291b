/** `command --ttl --wait --key` and `commands`, with a running gateway and a device. */

import assert from "node:assert/strict";
import type { DeviceClient } from "../../src/client/device_client.ts";
import { poll } from "../../src/time/poll.ts";
import { assertJsonForm } from "../support/json_form.ts";
import { type LiveSite, withLiveSite } from "../support/live_site.ts";
import { commandOf, reaches } from "../support/command_states.ts";
import { shell } from "../support/shell.ts";

const DEVICE_ID = "sensor_001";
const UNLOCK = '{"action":"unlock"}';

function run(site: LiveSite, ...args: string[]): ReturnType<typeof shell> {
  return shell([...args, "--dir", site.layout.directory]);
}

function command(site: LiveSite, ...options: string[]): ReturnType<typeof shell> {
  return run(site, "command", DEVICE_ID, UNLOCK, ...options);
}

/** Does the next command, and says so. */
async function obeys(device: DeviceClient, word: Parameters<DeviceClient["acknowledge"]>[1]) {
  const { messageId } = await device.command();
  await device.acknowledge(messageId, word);
  return messageId;
}

Deno.test("command --wait ends as soon as the device says done, with exit 0 and its word", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device(DEVICE_ID);
    const asked = command(site, "--wait", "30s");
    const { messageId } = await device.command();
    await device.acknowledge(messageId, { state: "running" });
    await reaches(site, messageId, "running");
    await device.acknowledge(messageId, { state: "done", result: "\u009b2J" });
    const { code, stdout, stderr } = await asked;
    assert.equal(code, 0, stderr);
    assert.match(stderr, new RegExp(`^note: command ${messageId} is queued; waiting for `));
    assert.match(stdout, /^state: done\nmeans: the device says that it has done it\n/);
    assert.doesNotMatch(stdout, /^key:/m, "the gateway does not say whose key asked");
    assert.match(stdout, /^acknowledgement, escaped for the terminal: .*\\u009b2J/m);
    assert.doesNotMatch(stdout, /\u009b/);
  });
});

Deno.test("command --wait exits 1 for every other end, and says which", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device(DEVICE_ID);
    for (const state of ["failed", "refused"] as const) {
      const asked = command(site, "--wait", "30s", "--json");
      await obeys(device, { state, reason: "the door is open" });
      const { code, stdout, stderr } = await asked;
      assert.equal(code, 1);
      assert.match(
        stderr,
        new RegExp(`^error: The command is ${state}: the device says that `, "m"),
      );
      const record = JSON.parse(stdout);
      assertJsonForm(record, "command --wait");
      assert.equal(record.state, state);
      assert.equal(JSON.parse(record.acknowledgement.payload).reason, "the door is open");
    }
  });
});

Deno.test("command --wait whose time is over says what is known, and where to look later", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device(DEVICE_ID);
    const { code, stdout, stderr } = await command(site, "--wait", "1s");
    const { messageId } = await device.command();
    assert.equal(code, 1);
    assert.match(stdout, /^state: sent$/m);
    assert.match(stderr, /^error: The command is sent after 1s: a copy may be with the device/m);
    assert.match(stderr, new RegExp(`^hint: .* commands show ${messageId}$`, "m"));
  });
});

Deno.test("command --wait says unconfirmed when the command's time is over first", async () => {
  await withLiveSite(async (site) => {
    await site.device(DEVICE_ID);
    const { code, stderr } = await command(site, "--wait", "30s");
    assert.equal(code, 1);
    assert.match(stderr, /^error: The command is unconfirmed: its time is over/m);
  }, { settings: { CHECKS_TOLERANCE: "2s" } });
});

Deno.test("command --wait outlives a restart of the gateway", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device(DEVICE_ID);
    const asked = command(site, "--wait", "60s");
    const { messageId } = await device.command();
    await site.logged("command_state_changed");
    await site.stopGateway();
    await site.startGateway();
    await device.acknowledge(messageId, { state: "done" });
    const { code, stderr } = await asked;
    assert.equal(code, 0, stderr);
  });
});

Deno.test("command --wait works with a gateway that holds no answers", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device(DEVICE_ID);
    const asked = command(site, "--wait", "30s");
    await obeys(device, { state: "done" });
    const { code, stderr } = await asked;
    assert.equal(code, 0, stderr);
  }, { settings: { COMMANDS_WAIT_LONGEST: "0s" } });
});

Deno.test("command --ttl waits for its device; without it, a command to nobody is lost and says so", async () => {
  await withLiveSite(async (site) => {
    const folder = await site.register(DEVICE_ID);
    const lost = await command(site);
    assert.equal(lost.code, 0);
    assert.equal(JSON.parse(lost.stdout).delivery, "no_subscriber");
    assert.match(lost.stderr, /^note: The device is not there: .* lost\nhint: With --ttl 1h /);
    const awaited = await command(site, "--wait", "30s");
    assert.deepEqual([awaited.code, JSON.parse(awaited.stdout).delivery], [1, "no_subscriber"]);
    assert.match(awaited.stderr, /^error: The device is not there/);

    const kept = await command(site, "--ttl", "1h");
    assert.equal(kept.code, 0, kept.stderr);
    const { message_id: messageId } = JSON.parse(kept.stdout);
    const { expiresSeconds, createdSeconds, state } = commandOf(site, messageId);
    assert.deepEqual([expiresSeconds - createdSeconds, state], [3600, "waiting"]);
    const device = await site.connect(folder);
    await device.send("1");
    assert.equal(await obeys(device, { state: "done" }), messageId);
    await reaches(site, messageId, "done");
  });
});

Deno.test("command --key asked twice is one command, also with odd keys", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device(DEVICE_ID);
    for (const key of ["order-17", '"', 'a\\"b\\']) {
      const [first, second] = [
        await command(site, "--key", key),
        await command(site, "--key", key),
      ];
      assert.equal(second.code, 0, second.stderr);
      assert.equal(first.stderr, "");
      assert.match(second.stderr, /^note: the same command was asked for with this key before/);
      assert.equal(second.stdout, first.stdout);
      assert.equal((await device.command()).messageId, JSON.parse(first.stdout).message_id);
    }
    assert.equal(device.commandsWaiting, 0);
    const reused = await run(site, "command", DEVICE_ID, '{"other":1}', "--key", "order-17");
    assert.equal(reused.code, 1);
    assert.match(reused.stderr, /^error: The gateway answered 422: /);
  });
});

Deno.test("command names the slip: durations, keys, JSON that the shell has eaten", async () => {
  await withLiveSite(async (site) => {
    await site.register(DEVICE_ID);
    const wrong = [["--ttl", "500ms"], ["--ttl", "0s"], ["--ttl", "1"], ["--wait", "soon"]];
    for (const options of [...wrong, ["--key", ""], ["--key", "a b"], ["--key", "é"]]) {
      const { code, stdout, stderr } = await command(site, ...options);
      assert.deepEqual([code, stdout], [2, ""], options.join(" "));
      assert.match(stderr, new RegExp(`^error: Cannot use ${options[0]} ".*"\nhint: Give `));
    }
    const tooLong = await command(site, "--ttl", "365d");
    assert.equal(tooLong.code, 1);
    assert.match(tooLong.stderr, /^error: The gateway answered 400: .*TTL.*604800\n$/);
    const eaten = await run(site, "command", DEVICE_ID, "{action:reboot}");
    assert.equal(eaten.code, 1);
    assert.match(eaten.stderr, /^hint: Quote the JSON for the shell/m);
    await site.stopBroker();
    await poll("the gateway to see it", async () => (await site.api("/readyz")).status === 503);
    const down = await command(site);
    assert.equal(down.code, 1);
    assert.match(down.stderr, /^error: The gateway answered 503: .*\nhint: With --ttl 1h /);
    const kept = await command(site, "--ttl", "1h");
    assert.equal(JSON.parse(kept.stdout).delivery, "stored");
  });
});

Deno.test("commands cancel ends what waits, withdraws what is sent, and names what has ended", async () => {
  await withLiveSite(async (site) => {
    const folder = await site.register(DEVICE_ID);
    const ask = async () => {
      const { stdout, stderr } = await command(site, "--ttl", "1h");
      assert.notEqual(stdout, "", stderr);
      return JSON.parse(stdout).message_id as string;
    };
    const waiting = await ask();
    const cancelled = await run(site, "commands", "cancel", waiting);
    assert.deepEqual([cancelled.code, cancelled.stderr], [0, ""]);
    assert.match(cancelled.stdout, /^Cancelled: no copy was sent, and none will be\n$/);
    assert.equal(commandOf(site, waiting).state, "cancelled");
    const again = await run(site, "commands", "cancel", waiting);
    assert.equal(again.code, 1);
    assert.match(again.stderr, /^error: Cannot cancel it: it is cancelled: /);

    const device = await site.connect(folder);
    const sent = await ask();
    assert.equal((await device.command()).messageId, sent);
    const withdrawn = await run(site, "commands", "cancel", sent, "--json");
    const record = JSON.parse(withdrawn.stdout);
    assertJsonForm(record, "commands cancel");
    assert.deepEqual([withdrawn.code, record.state, record.withdrawn], [0, "sent", true]);
    const twice = await run(site, "commands", "cancel", sent);
    assert.match(twice.stdout, /^Withdrawn: /);
    assert.match(twice.stderr, new RegExp(`^hint: See later .* commands show ${sent}\n$`));

    await site.stopGateway();
    const down = await run(site, "commands", "cancel", sent);
    assert.equal(down.code, 1);
    assert.match(down.stderr, /^error: Cannot reach the gateway at .*\nhint: Is it running\?/);
    const listed = JSON.parse((await run(site, "commands", "list", "--json")).stdout);
    assert.deepEqual(listed.map((one: { state: string }) => one.state), ["cancelled", "sent"]);
  });
});

Deno.test("what commands do is in the log and the audit with names, never with a payload", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device(DEVICE_ID);
    const asked = command(site, "--ttl", "1h", "--wait", "30s");
    const messageId = await obeys(device, { state: "failed", reason: "hush-hush" });
    assert.equal((await asked).code, 1);
    await run(site, "commands", "cancel", messageId);
    const log = JSON.stringify(site.log);
    const { stdout: audit } = await poll("the audit to have it", async () => {
      const exported = await run(site, "audit", "export");
      return exported.stdout.includes(messageId) && exported;
    });
    for (const text of [log, audit]) {
      assert.match(text, new RegExp(messageId));
      assert.doesNotMatch(text, /unlock|hush/);
    }
  });
});
