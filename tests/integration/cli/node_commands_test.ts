/** `store migrate` and `node …`: a store that several gateways share, as an operator sees it. */

import assert from "node:assert/strict";
import { withSetting } from "../../../src/config/toml_edit.ts";
import { assertJsonForm } from "../../support/json_form.ts";
import { quietPorts, shell } from "../../support/shell.ts";
import { HAS_POSTGRES, withPostgres } from "../../support/temporary_postgres.ts";
import { withFolder } from "../../support/with_folder.ts";

/** Runs commands on a site whose store is on PostgreSQL. */
async function withSite(
  work: (site: {
    readonly directory: string;
    run(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }>;
  }) => Promise<void>,
): Promise<void> {
  await withPostgres(async (postgres) => {
    const { user, database, hosts: [host] } = await postgres.place();
    await withFolder(async (folder) => {
      const directory = `${folder}/site`;
      const run = (...args: string[]) => shell([...args, "--dir", directory]);
      assert.equal((await run("init", ...quietPorts())).code, 0);
      const file = `${directory}/gateway.toml`;
      const url = `postgres://${user}@${host!.host}:${host!.port}/${database}`;
      const changes = [
        { section: "store", key: "engine", value: "postgres" },
        { section: "store", key: "url", value: url },
        { section: "store", key: "durability", value: "local" },
        { section: "node", key: "name", value: "a" },
      ];
      const toml = changes.reduce(withSetting, await Deno.readTextFile(file));
      await Deno.writeTextFile(file, toml);
      await work({ directory, run });
    });
  });
}

Deno.test({
  name: "the tables are made when an operator says so, and not twice",
  ignore: !HAS_POSTGRES,
  fn: () =>
    withSite(async ({ run }) => {
      const early = await run("device", "list");
      assert.equal(early.code, 1);
      assert.match(early.stderr, /there is no store in it yet: type store migrate/);
      const { stdout } = await run("store", "migrate", "--json");
      const made = JSON.parse(stdout);
      assertJsonForm(made, "store migrate");
      assert.equal(made.steps, made.schema);
      assert.match((await run("store", "migrate")).stdout, /: nothing to do\n$/);
      assert.equal((await run("device", "add", "sensor_001")).code, 0);
      assert.match((await run("device", "list")).stdout, /sensor_001/);
      assert.equal((await run("secrets", "seal")).code, 0);
    }),
});

Deno.test({
  name: "a further gateway's folder has what its machine needs, and no key of an authority",
  ignore: !HAS_POSTGRES,
  fn: () =>
    withSite(async ({ directory, run }) => {
      await run("store", "migrate");
      await run("secrets", "seal");
      const added = await run(
        "node",
        "add",
        "b",
        "--host",
        "b.example",
        "--at",
        "/srv/b",
        "--json",
      );
      assert.equal(added.code, 0, added.stderr);
      assertJsonForm(JSON.parse(added.stdout), "node add");
      const folder = `${directory}/nodes/b`;
      const toml = await Deno.readTextFile(`${folder}/gateway.toml`);
      assert.match(toml, /^name = "b"$/m);
      assert.match(toml, /^host = "b\.example"$/m);
      const certificates = [...Deno.readDirSync(`${folder}/certs`)].map(({ name }) => name).sort();
      assert.deepEqual(certificates, [
        ...["broker.crt", "broker.key", "device-ca.crl", "device-ca.crt", "gateway-ca.crt"],
        ...["gateway.crt", "gateway.key", "probe.crt", "probe.key"],
      ]);
      assert.equal(Deno.statSync(`${folder}/certs/probe.key`).mode! & 0o777, 0o600);
      assert.equal(Deno.statSync(`${folder}/secrets.key`).mode! & 0o777, 0o600);
      const broker = await Deno.readTextFile(`${folder}/mosquitto/mosquitto.conf`);
      assert.match(broker, /^cafile \/srv\/b\/certs\//m);
      const wrong = [["a"], ["b"], ["x y"], ["c", "--host", "-"]];
      for (const args of wrong) assert.equal((await run("node", "add", ...args)).code, 1);
    }),
});

Deno.test({
  name: "a folder that root makes in another user's site is that user's, and so is its broker",
  ignore: !HAS_POSTGRES || Deno.uid() !== 0,
  fn: () =>
    withSite(async ({ directory, run }) => {
      await run("store", "migrate");
      await new Deno.Command("chown", { args: ["-R", "nobody:nogroup", directory] }).output();
      const added = await run("node", "add", "b", "--host", "b.example", "--at", "/srv/b");
      assert.equal(added.code, 0, added.stderr);
      const listed = await new Deno.Command("find", {
        args: [`${directory}/nodes`, "-not", "-user", "nobody"],
      }).output();
      assert.equal(new TextDecoder().decode(listed.stdout), "");
      const broker = await Deno.readTextFile(`${directory}/nodes/b/mosquitto/mosquitto.conf`);
      assert.match(broker, /^user nobody$/m);
    }),
});

Deno.test({
  name: "gateways are listed and forgotten; where the store is a file, there are none",
  ignore: !HAS_POSTGRES,
  fn: () =>
    withSite(async ({ run }) => {
      await run("store", "migrate");
      const { stdout } = await run("node", "list", "--json");
      assert.deepEqual(JSON.parse(stdout), []);
      const { code, stderr } = await run("node", "remove", "ghost");
      assert.equal(code, 1);
      assert.match(stderr, /There is no gateway "ghost"\nhint: .*node list/);
      await withFolder(async (folder) => {
        await shell(["init", ...quietPorts(), "--dir", `${folder}/plain`]);
        const plain = await shell(["node", "list", "--dir", `${folder}/plain`]);
        assert.match(plain.stderr, /The store is a file/);
        const lists = await shell(["lists", "follow", "--dir", `${folder}/plain`]);
        assert.equal(lists.code, 1);
        assert.match(lists.stderr, /^error: The store is a file/);
      });
    }),
});
