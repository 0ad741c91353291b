import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { keyPairFault } from "../../../src/config/credentials.ts";
import {
  type Authority,
  createAuthority,
  type IssuedCertificate,
  issueServerCertificate,
} from "../../../src/site/pki/authority.ts";
import { placePair } from "../../../src/site/pki/pair_files.ts";
import { withFolder } from "../../support/with_folder.ts";

const KILLS = 12;
const LATEST_KILL_MS = 40;

/** Paths of a pair, as `init` writes it, and its authority. */
interface Place {
  readonly folder: string;
  readonly paths: { readonly certificate: string; readonly key: string };
  readonly authority: Authority;
}

async function withPair(work: (place: Place) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    const authority = await createAuthority({ commonName: "Authority", nowMs: Date.now() });
    const paths = { certificate: `${folder}/broker.crt`, key: `${folder}/broker.key` };
    const first = await issue(authority);
    await Deno.writeTextFile(paths.certificate, first.certificatePem);
    await Deno.writeTextFile(paths.key, first.keyPem, { mode: 0o600 });
    await work({ folder, paths, authority });
  });
}

function issue(authority: Authority): Promise<IssuedCertificate> {
  const options = { commonName: "broker", hosts: ["localhost"], nowMs: Date.now() };
  return issueServerCertificate(authority, options);
}

function namesIn(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
}

Deno.test("a pair is replaced, taken back, and keeps its modes; what else is there stays", async () => {
  await withPair(async ({ folder, paths, authority }) => {
    const [first, second] = [Deno.readTextFileSync(paths.certificate), await issue(authority)];
    Deno.mkdirSync(`${folder}/broker`);
    Deno.writeTextFileSync(`${folder}/broker/notes.txt`, "the operator's");
    await (await placePair(paths, second)).takeBack();
    assert.equal(Deno.readTextFileSync(paths.certificate), first);
    assert.equal(keyPairFault(paths), undefined);
    const placed = await placePair(paths, second);
    assert.equal(Deno.readTextFileSync(paths.certificate), second.certificatePem);
    assert.equal(Deno.readTextFileSync(paths.key), second.keyPem);
    assert.equal(Deno.statSync(paths.key).mode! & 0o777, 0o600);
    assert.equal(namesIn(`${folder}/broker`).length, 4, "current, notes, two versions");
    await placed.keep();
    assert.equal(namesIn(`${folder}/broker`).length, 3);
    assert.deepEqual(namesIn(folder), ["broker", "broker.crt", "broker.key"]);
  });
});

Deno.test("files that an operator has put in the place of the links are replaced as well", async () => {
  await withPair(async ({ folder, paths, authority }) => {
    await (await placePair(paths, await issue(authority))).keep();
    const own = await issue(authority);
    for (const [path, text] of [[paths.certificate, own.certificatePem], [paths.key, own.keyPem]]) {
      await Deno.remove(path!);
      await Deno.writeTextFile(path!, text!, { mode: 0o600 });
    }
    await (await placePair(paths, await issue(authority))).takeBack();
    assert.equal(Deno.readTextFileSync(paths.certificate), own.certificatePem);
    assert.equal(keyPairFault(paths), undefined);
    assert.deepEqual(namesIn(folder), ["broker", "broker.crt", "broker.key"]);
  });
});

Deno.test("nothing is written through a link in the place of the versions' folder", async () => {
  await withPair(async ({ folder, paths, authority }) => {
    await Deno.mkdir(`${folder}/elsewhere`);
    await Deno.symlink("elsewhere", `${folder}/broker`);
    const before = Deno.readTextFileSync(paths.certificate);
    await assert.rejects(placePair(paths, await issue(authority)), Deno.errors.AlreadyExists);
    assert.deepEqual(namesIn(`${folder}/elsewhere`), []);
    assert.equal(Deno.readTextFileSync(paths.certificate), before);
  });
});

Deno.test("a certificate and its key in one file are replaced", async () => {
  await withPair(async ({ folder, authority }) => {
    const path = `${folder}/both.pem`;
    const [first, second] = [await issue(authority), await issue(authority)];
    await Deno.writeTextFile(path, first.certificatePem + first.keyPem, { mode: 0o600 });
    const paths = { certificate: path, key: path };
    await (await placePair(paths, second)).keep();
    assert.equal(Deno.readTextFileSync(path), second.certificatePem + second.keyPem);
    assert.equal(keyPairFault(paths), undefined);
  });
});

Deno.test("killed at any moment, there is never a key that is not its certificate's", async () => {
  await withPair(async ({ folder, paths, authority }) => {
    await Deno.mkdir(`${folder}/other`);
    for (const name of ["one", "two"]) {
      const { certificatePem, keyPem } = await issue(authority);
      await Deno.writeTextFile(`${folder}/other/${name}.crt`, certificatePem);
      await Deno.writeTextFile(`${folder}/other/${name}.key`, keyPem);
    }
    for (let kill = 0; kill < KILLS; kill++) {
      const child = runner(paths, `${folder}/other`);
      const reader = child.stdout.getReader();
      await reader.read(); // it has begun
      await new Promise((resolve) => setTimeout(resolve, Math.random() * LATEST_KILL_MS));
      child.kill("SIGKILL");
      await child.status;
      await reader.cancel();
      assert.equal(keyPairFault(paths), undefined, `kill ${kill}`);
    }
    await (await placePair(paths, await issue(authority))).keep();
    assert.equal(namesIn(`${folder}/broker`).length, 2, "what was killed is cleared away");
    assert.deepEqual(namesIn(folder), ["broker", "broker.crt", "broker.key", "other"]);
  });
});

function runner({ certificate, key }: Place["paths"], other: string): Deno.ChildProcess {
  const script = fileURLToPath(new URL("../../support/pair_run.ts", import.meta.url));
  const config = fileURLToPath(new URL("../../../deno.json", import.meta.url));
  return new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "-q", "--no-prompt", "--config", config, "-P=test", script],
      ...[certificate, key, other],
    ],
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
}
