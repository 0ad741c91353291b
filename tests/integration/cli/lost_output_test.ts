/** A full disk or a closed pipe where the output goes: nothing is made that nobody can see. */

import assert from "node:assert/strict";
import { ApiClient } from "../../../src/client/api_client.ts";
import { ChildProcess } from "../../../src/demo/sandbox/child_process.ts";
import { gatewayCommand, programCommand } from "../../../src/demo/sandbox/gateway_process.ts";
import { siteLayout } from "../../../src/site/layout.ts";
import { poll } from "../../../src/time/poll.ts";
import { freePorts } from "../../support/free_ports.ts";
import { type FinishedRun, runToEnd } from "../../support/finished_run.ts";
import { shell } from "../../support/shell.ts";
import { withFolder } from "../../support/with_folder.ts";

/** Where the output goes, as a shell writes it. */
const NOWHERE = { "a full disk": '"$@" >/dev/full', "a closed pipe": '{ "$@"; } | :' };

const KEYS = [["key", "add", "lost"], ["key", "add", "lost", "--json"]];

/** What they make is in files: only the report is lost. */
const REPORTED = [
  ["device", "add", "sensor_002"],
  ["device", "add", "sensor_003", "--pem", "--json"],
  ["device", "rotate", "sensor_001", "--secret", "--json"],
  ["secrets", "seal"],
  ["key", "list"],
  ["audit", "export"],
  ["sign", "sensor_001", "1"],
];

/** Runs a command in bash, so that its exit code is the pipe's first. */
async function runInto(
  output: string,
  args: readonly string[],
  directory: string,
): Promise<FinishedRun> {
  const { path, args: given } = programCommand(...args, "--dir", directory);
  const script = `${output}; exit "\${PIPESTATUS[0]}"`;
  return await runToEnd({ path: "bash", args: ["-c", script, "bash", path, ...given] });
}

async function withSite(work: (directory: string) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    const directory = `${folder}/site`;
    for (const args of [["init"], ["device", "add", "sensor_001"]]) {
      const { code, stderr } = await shell([...args, "--dir", directory]);
      assert.equal(code, 0, stderr);
    }
    await work(directory);
  });
}

Deno.test("a key that cannot be shown is not made", async () => {
  await withSite(async (directory) => {
    for (const [name, output] of Object.entries(NOWHERE)) {
      for (const args of KEYS) {
        const { code, stderr } = await runInto(output, args, directory);
        assert.equal(code, 1, `${name}: ${stderr}`);
        assert.match(stderr, /^error: Cannot write the result: .*; nothing was made.*\nhint: /);
        const { stdout } = await shell(["key", "list", "--dir", directory]);
        assert.doesNotMatch(stdout, /lost/, `${name}: ${args.join(" ")}`);
      }
    }
  });
});

Deno.test("a report that is lost is an error, and what it reports is on the disk", async () => {
  await withSite(async (directory) => {
    for (const args of REPORTED) {
      const { code, stderr } = await runInto(NOWHERE["a full disk"], args, directory);
      assert.equal(code, 1, args.join(" "));
      assert.match(stderr, /^error: Cannot write the result: The disk is full/, args.join(" "));
    }
    const { code } = await shell(["sign", "sensor_002", "1", "--dir", directory]);
    assert.equal(code, 0);
    for (const path of ["sensor_002/secret", "sensor_003.pem", "sensor_001/secret"]) {
      assert.ok(Deno.statSync(`${directory}/devices/${path}`).size > 0);
    }
    assert.ok(Deno.statSync(`${directory}/secrets.key`).size > 0);
  });
});

Deno.test("a gateway whose log cannot be written goes on, and stops as it should", async () => {
  await withSite(async (directory) => {
    for (const log of ["2>/dev/full", "2> >(:)"]) {
      const { path, args } = gatewayCommand(directory);
      const [port = 0] = freePorts(1);
      const environment = { SECURE_IOT_GATEWAY_API_PORT: String(port) };
      const script = `exec "$@" ${log}`;
      const command = { path: "bash", args: ["-c", script, "bash", path, ...args], environment };
      const gateway = new ChildProcess(command);
      try {
        await poll("the gateway to answer", () => answers(directory, port), { timeoutMs: 20_000 });
        assert.ok(gateway.running);
      } finally {
        await gateway.stop({ timeoutMs: 15_000 });
      }
      assert.equal((await gateway.exited).code, 0, log);
    }
  });
});

async function answers(directory: string, port: number): Promise<boolean> {
  const { apiKey, gatewayCa: { certificate: authority } } = siteLayout(directory);
  const client = await ApiClient.open({ port, apiKey, authority });
  try {
    return (await client.get("/healthz")).status === 200;
  } catch {
    return false;
  } finally {
    client.close();
  }
}
