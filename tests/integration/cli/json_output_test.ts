/**
 * `--json`: every command that prints something has it, and all of them print one form, which
 * src/cli/json_output.ts describes.
 */

import assert from "node:assert/strict";
import type { Command } from "commander";
import { createProgram } from "../../../src/cli/program.ts";
import { siteLayout } from "../../../src/site/layout.ts";
import { openStore } from "../../../src/store/open_store.ts";
import { assertJsonForm } from "../../support/json_form.ts";
import { quietPorts, shell } from "../../support/shell.ts";
import { withFolder } from "../../support/with_folder.ts";
import { ACCEPTED } from "../../support/sample_command.ts";
import { accept } from "../../unit/store/contract/commands_contract.ts";
import {
  batch,
  candidate,
  deadLetter,
  messagesOf,
} from "../../unit/store/contract/sample_batch.ts";

/** It prints nothing: it logs. */
const SILENT = "run";

/**
 * They need a gateway or a server that runs: `commands_cli_test.ts`, `watch_test.ts`, `demo_test.ts`,
 * `node_commands_test.ts` and `lists_test.ts` try them; or they need no site: `monitor_test.ts`.
 */
const ELSEWHERE = [
  ...["command", "watch", "demo", "commands cancel"],
  ...["store migrate", "store move", "node add", "node list", "node remove"],
  ...["lists follow", "lists show", "lists publish"],
  ...["monitor rules", "monitor dashboard"],
];

/** The names of all commands that do something, such as "device add", with their commands. */
function commandsOf(command: Command, name = ""): [string, Command][] {
  if (command.commands.length === 0) return [[name, command]];
  return command.commands.flatMap((one) => commandsOf(one, `${name} ${one.name()}`.trim()));
}

const COMMANDS = new Map(commandsOf(createProgram()));

/** A site on which commands run with --json; remembers which. */
class JsonSite {
  readonly folder: string;
  readonly directory: string;
  readonly tried = new Set<string>();

  constructor(folder: string) {
    this.folder = folder;
    this.directory = `${folder}/site`;
  }

  /** Runs a command, and checks the form of what it prints. */
  async json(...args: string[]) {
    return await this.#run(args, 0);
  }

  /** The same for one that fails. */
  async failed(...args: string[]) {
    return await this.#run(args, 1);
  }

  async #run(args: readonly string[], expected: number) {
    const { code, stdout, stderr } = await shell([...args, "--json", "--dir", this.directory]);
    assert.equal(code, expected, `${args.join(" ")}: ${stderr}`);
    const result = JSON.parse(stdout);
    assertJsonForm(result, args.join(" "));
    const name = [args.slice(0, 2).join(" "), args[0]!].find((one) => COMMANDS.has(one));
    this.tried.add(name!);
    return result;
  }

  /** Accepts a command to a device, as a gateway does; returns its message_id. */
  async command(deviceId: string): Promise<string> {
    const { database } = siteLayout(this.directory);
    const store = await openStore({ database }, { author: "gateway" });
    try {
      const change = accept({ ...ACCEPTED, deviceId });
      await messagesOf(store).commit(batch({ commandChanges: [change] }));
      return ACCEPTED.messageId;
    } finally {
      await store.close();
    }
  }

  /** Accepts two readings of a device, as a gateway does; one becomes a dead letter. */
  async accept(deviceId: string): Promise<{ waiting: number; dead: number }> {
    const { database } = siteLayout(this.directory);
    const store = await openStore({ database }, { author: "gateway" });
    try {
      const messages = messagesOf(store);
      const { committed: [one] } = await messages.commit(
        batch({ examined: [candidate(deviceId)] }),
      );
      assert.ok(one?.kind === "accepted");
      return { waiting: one.entry.sequence, dead: await deadLetter(messages, deviceId) };
    } finally {
      await store.close();
    }
  }

  async write(name: string, text: string): Promise<string> {
    await Deno.writeTextFile(`${this.folder}/${name}`, text);
    return `${this.folder}/${name}`;
  }
}

Deno.test("every command that prints something takes --json", () => {
  const without = [...COMMANDS].filter(([, command]) =>
    command.options.every(({ long }) => long !== "--json")
  ).map(([name]) => name);
  assert.deepEqual(without, [SILENT]);
});

Deno.test("--json prints one JSON document of one form, for every command", async () => {
  await withFolder(async (folder) => {
    const site = new JsonSite(folder);
    await changeDevices(site);
    await readMessages(site);
    await changeKeys(site);
    const untried = [...COMMANDS.keys()].filter((name) => !site.tried.has(name));
    assert.deepEqual(untried, [SILENT, ...ELSEWHERE]);
  });
});

async function changeDevices(site: JsonSite): Promise<void> {
  const { directory } = site;
  assert.equal((await site.json("init", ...quietPorts())).directory, directory);
  assert.deepEqual(await site.json("device", "add", "sensor_001"), {
    device_id: "sensor_001",
    bundle: `${directory}/devices/sensor_001`,
  });
  const file = await site.write("two.csv", "device_id\nsensor_002\nsensor_003\n");
  assert.equal((await site.json("device", "import", file)).length, 2);
  const other = await site.write("no_such_device.csv", "");
  await Deno.copyFile(siteLayout(directory).database, other);
  assert.deepEqual(await site.json("device", "adopt", other), { adopted: 0, present: 3 });
  assert.equal((await site.json("device", "list"))[0].status, "active");
  const rotated = await site.json("device", "rotate", "sensor_001", "--secret");
  assert.deepEqual([rotated.complete, rotated.steps[0].kind], [true, "secret_rotated"]);
  const shown = await site.json("device", "show", "sensor_001");
  assert.equal(shown.secrets[1].valid_until, rotated.steps[0].previous_valid_until);
  const removed = await site.json("device", "remove", "sensor_003");
  assert.deepEqual(removed.steps.map(({ kind }: { kind: string }) => kind), [
    "device_removed",
    "revocation_list_written",
    "access_list_written",
    "broker_not_running",
    "bundle_removed",
  ]);
  for (const verb of ["revoke", "restore"]) {
    const { complete, fault } = await site.failed("device", verb, "sensor_002");
    assert.deepEqual([complete, fault.kind], [false, "broker_not_running"]);
  }
  assert.deepEqual(await site.json("site", "upgrade", "--dry-run"), { changes: [] });
  const upgraded = await site.json("site", "upgrade");
  assert.deepEqual([upgraded.changes, upgraded.complete], [[], true]);
  assert.equal(
    (await site.json("certificate", "list"))[0].path,
    siteLayout(directory).broker.certificate,
  );
  const renewed = await site.json("certificate", "renew", "gateway");
  assert.deepEqual([renewed.target, renewed.complete], ["gateway", true]);
  assert.equal((await site.failed("rotate-authority")).steps[0].kind, "authority_issuing");
}

async function readMessages(site: JsonSite): Promise<void> {
  const { waiting, dead } = await site.accept("sensor_001");
  assert.equal((await site.json("outbox", "list"))[0].sequence, waiting);
  assert.equal((await site.json("outbox", "show", `${waiting}`)).payload, "{}");
  await site.json("outbox", "drop", `${waiting}`);
  assert.equal((await site.json("dead", "list")).length, 2);
  assert.equal((await site.json("dead", "show", `${dead}`)).status, 422);
  assert.equal((await site.json("dead", "retry", `${dead}`)).requeued, 1);
  assert.equal((await site.json("dead", "drop", "--all")).dropped, 1);
  const command = await site.command("sensor_001");
  assert.equal((await site.json("commands", "list"))[0].message_id, command);
  assert.equal((await site.json("commands", "show", command)).state, "waiting");
  const signed = await site.json("sign", "sensor_002", "[ 1 ]");
  assert.equal(signed.signed_text, `sensor_002${signed.timestamp}${signed.message_id}[1]`);
  assert.equal(JSON.parse(signed.message).signature, signed.signature);
  const file = await site.write("message", signed.message);
  const verified = await site.json("verify", "sensor_002", file);
  assert.deepEqual([verified.accepted, verified.rejection], [true, null]);
  assert.equal((await site.failed("verify", "sensor_001", file)).accepted, false);
}

async function changeKeys(site: JsonSite): Promise<void> {
  assert.match((await site.json("key", "add", "line1")).key, /^[A-Za-z0-9_-]{43}$/);
  assert.equal((await site.json("key", "list")).length, 2);
  assert.equal((await site.json("key", "remove", "line1")).removed, true);
  const { count } = await site.json("secrets", "seal");
  assert.equal((await site.json("secrets", "rotate-key")).count, count);
  assert.equal((await site.json("secrets", "unseal")).count, count);
  const { head } = await site.json("audit", "verify");
  assert.equal((await site.json("audit", "export")).at(-1).hash, head.hash);
  assert.equal((await site.json("install", "--print")).files.length, 4);
  assert.match((await site.json("monitor", "scrape")).text, /^scrape_configs:/);
  const checks = await site.json("doctor", "--offline");
  assert.equal(checks[0].name, "settings");
}
