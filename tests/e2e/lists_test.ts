/** Revocation at every broker of gateways that share a store. */

import assert from "node:assert/strict";
import { DAY_MS } from "../../src/core/time.ts";
import { signLists } from "../../src/site/operations/broker_lists.ts";
import { sealLists } from "../../src/site/operations/published_lists.ts";
import { openDeviceAuthorities } from "../../src/site/pki/device_authorities.ts";
import { poll } from "../../src/time/poll.ts";
import { assertJsonForm } from "../support/json_form.ts";
import { testLists } from "../support/list_follower.ts";
import { withSiteStore } from "../support/site_store.ts";
import type { LiveSite } from "../support/live_site.ts";
import { shell } from "../support/shell.ts";

const DEVICE_ID = "thief";

/** What a gateway has to do, and a follower has to try again. */
const PATIENT = { timeoutMs: 30_000 };

function run(site: LiveSite, ...args: string[]) {
  return shell([...args, "--dir", site.layout.directory]);
}

/** The numbers of the newest lists, and of those that the broker of a node uses. */
async function numbersOf(node: LiveSite) {
  return await withSiteStore(node, ({ lists }) => lists!.numbers(node.config.node.name));
}

async function followed(node: LiveSite): Promise<number> {
  return await poll(`${node.config.node.name} to follow`, async () => {
    const { newest, used } = await numbersOf(node);
    return newest > 0 && used === newest && newest;
  }, PATIENT);
}

/** The lists on a node's disk. */
async function listsOn({ layout }: LiveSite): Promise<string> {
  const { revocationList, aclDevices, deviceCa } = layout;
  const paths = [revocationList, aclDevices, deviceCa.certificate];
  return (await Promise.all(paths.map((path) => Deno.readTextFile(path)))).join();
}

testLists("a device that is revoked at one broker is cut off at the other", async (nodes) => {
  const { a, b, follow } = nodes;
  const folder = await a.register(DEVICE_ID);
  const neighbour = await b.connect(await a.register("neighbour"));
  const thief = await b.connect(folder);
  const follower = follow(b);
  const { code, stdout, stderr } = await run(a, "device", "revoke", DEVICE_ID);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /\nother gateways: list 2 is in the store for their brokers\n/);
  assert.match(stdout, /\ngateway b: its broker uses list 2\n[^]*Revoked thief\n$/);
  await poll("the end of its connection", () => !thief.connected);
  await assert.rejects(b.connect(folder), /revoked/i);
  await assert.rejects(a.connect(folder), /revoked/i);
  await neighbour.response((await neighbour.send("1")).messageId);
  await poll("its words", () => /^list 2: in use$/m.test(follower.stdout));
  assert.match(follower.stdout, /^list 2: probe: a certificate on this list is refused: /m);
  assert.match(follower.stdout, /^list 2: broker: the connection of thief was ended/m);

  const restored = await run(a, "device", "restore", DEVICE_ID);
  assert.equal(restored.code, 0, restored.stderr);
  const back = await b.connect(folder);
  await back.response((await back.send("2")).messageId);
  const shown = JSON.parse((await run(b, "lists", "show", "--json")).stdout);
  assertJsonForm(shown, "lists show");
  assert.deepEqual(shown, { node: "b", newest: 3, in_place: 3, used: 3, fault: null });
  assert.equal(await b.metric("lists_behind"), 0);
  follower.kill("SIGTERM");
  assert.equal((await follower.exited).code, 0);
});

testLists("a device that is removed is cut off at both, and its id is free", async (nodes) => {
  const { a, b, follow } = nodes;
  const folder = await a.register(DEVICE_ID);
  const kept = `${a.layout.directory}/kept`;
  await Deno.rename(folder, kept);
  const retired = await b.connect(kept);
  follow(b);
  const removed = await run(a, "device", "remove", DEVICE_ID);
  assert.equal(removed.code, 0, removed.stderr);
  assert.match(removed.stdout, /\ngateway b: its broker uses list 2\n/);
  await poll("the end of its connection", () => !retired.connected);
  await assert.rejects(b.connect(kept), /revoked/i);
  assert.equal((await run(a, "device", "add", DEVICE_ID)).code, 0);
  await (await b.connect(folder)).close();
});

testLists("a broker that is down is named, and follows when it is back", async (nodes) => {
  const { a, b, follow } = nodes;
  const folder = await a.register(DEVICE_ID);
  await b.stopBroker();
  follow(b);
  const revoked = await run(a, "device", "revoke", DEVICE_ID, "--json");
  assert.equal(revoked.code, 1);
  assert.match(revoked.stderr, /^error: Not every broker uses list 2 yet: b\nhint: /);
  const told = JSON.parse(revoked.stdout);
  assertJsonForm(told, "device revoke");
  assert.equal(told.complete, false);
  assert.deepEqual(told.fault, { kind: "nodes_behind", list_number: 2, nodes: ["b"] });
  const step = told.steps.find(({ kind }: { kind: string }) => kind === "node_behind");
  assert.equal(step.node, "b");
  assert.match(step.reason, /^Cannot tell the broker: /);
  const list = await run(a, "node", "list");
  assert.match(list.stdout, /^a: at work, .*, uses list 2$/m);
  assert.match(list.stdout, /^b: at work, .*, uses no list yet, 2 behind: Cannot tell the broker/m);
  const [, ofB] = JSON.parse((await run(a, "node", "list", "--json")).stdout);
  assertJsonForm(ofB, "node list");
  assert.deepEqual([ofB.list_number, ofB.lists_behind], [null, 2]);
  assert.equal(await b.metric("lists_behind"), 2);
  const doctor = JSON.parse((await run(b, "doctor", "--offline", "--json")).stdout);
  const check = doctor.find(({ name }: { name: string }) => name === "brokers' lists");
  assert.equal(check.status, "fail");
  assert.match(
    check.observed,
    /^this gateway's broker uses no list of the store, the newest is 2: /,
  );

  await b.startBroker();
  await followed(b);
  await assert.rejects(b.connect(folder), /revoked/i);
  const again = await run(a, "device", "revoke", DEVICE_ID);
  assert.equal(again.code, 0, again.stderr);
});

testLists("a site's own broker that was down is made up for in the same way", async (nodes) => {
  const { a, b, follow } = nodes;
  const folder = await a.register(DEVICE_ID);
  await a.stopBroker();
  follow(b);
  const revoked = await run(a, "device", "revoke", DEVICE_ID);
  assert.equal(revoked.code, 1);
  assert.match(revoked.stderr, /^error: Cannot tell the broker: /);
  assert.match(revoked.stdout, /^gateway b: its broker uses list 2$/m, "the others have it");
  follow(a);
  await a.startBroker();
  await followed(a);
  await assert.rejects(a.connect(folder), /revoked/i);
});

testLists(
  "a gateway that is dead is named, and fails nothing; a removed id stays taken",
  async (nodes) => {
    const { a, b, follow } = nodes;
    await a.register(DEVICE_ID);
    await b.stopGateway();
    await poll("the end of its lease", async () => {
      const list = await withSiteStore(a, ({ nodes }) => nodes!.list());
      return list.some(({ node, leftMs = 0 }) => node === "b" && leftMs < 0);
    });
    const removed = await run(a, "device", "remove", DEVICE_ID);
    assert.equal(removed.code, 0, removed.stderr);
    assert.match(
      removed.stdout,
      /^gateway b: it is away, and follows when it is back; its broker uses no list$/m,
    );
    assert.match(removed.stdout, /so the id is not free yet/);
    assert.equal((await run(a, "device", "add", DEVICE_ID)).code, 1);
    follow(b);
    await followed(b);
    const again = await run(a, "device", "remove", DEVICE_ID);
    assert.equal(again.code, 0, again.stderr);
    assert.equal((await run(a, "device", "add", DEVICE_ID)).code, 0);
  },
);

testLists("a follower that is killed in the middle has left nothing half done", async (nodes) => {
  const { a, b, follow } = nodes;
  const folder = await a.register(DEVICE_ID);
  const thief = await b.connect(folder);
  // A broker that stands still keeps the follower between what it has written and what it proves.
  b.broker!.kill("SIGSTOP");
  let follower = follow(b);
  const revoking = run(a, "device", "revoke", DEVICE_ID);
  await poll(
    "lists in place",
    async () => (await listsOn(b)).includes(`user ${DEVICE_ID}`),
    PATIENT,
  );
  follower.kill("SIGKILL");
  await follower.exited;
  const { used, newest } = await numbersOf(b);
  assert.deepEqual([used, newest], [undefined, 2]);
  b.broker!.kill("SIGCONT");
  const { code, stderr } = await revoking;
  assert.equal(code, 1);
  assert.match(stderr, /Not every broker uses list 2 yet: b/);
  // What one leaves that is killed while it writes.
  const draft = `.device-ca.crl.${crypto.randomUUID()}`;
  await Deno.writeTextFile(`${b.layout.certificatesFolder}/${draft}`, "half");
  follower = follow(b);
  await followed(b);
  await poll("the end of its connection", () => !thief.connected);
  await assert.rejects(b.connect(folder), /revoked/i);
  const names = [...Deno.readDirSync(b.layout.certificatesFolder)].map(({ name }) => name);
  assert.ok(names.every((name) => !name.startsWith(".")), names.join());
});

testLists("a forged list is refused, said, and changes nothing", async (nodes) => {
  const { a, b, follow } = nodes;
  const folder = await a.register(DEVICE_ID);
  const follower = follow(b);
  assert.equal((await run(a, "device", "revoke", DEVICE_ID)).code, 0);
  const before = await listsOn(b);
  const real = await withSiteStore(a, async ({ lists }) => {
    const newest = (await lists!.newest())!;
    const content = newest.content.replace(`"denied":["${DEVICE_ID}"]`, '"denied":[]');
    assert.notEqual(content, newest.content);
    assert.ok(await lists!.publish({ ...newest, number: 99, content }, newest.number));
    return newest;
  });
  await poll("its refusal", () => /no authority in .* has signed them/.test(follower.stderr));
  assert.match(
    follower.stderr,
    /^error: list 99: Refused the lists in the store: .*nothing was ch/m,
  );
  assert.equal(await listsOn(b), before);
  await assert.rejects(b.connect(folder), /revoked/i);
  const once = await run(b, "lists", "follow", "--once", "--json");
  assert.equal(once.code, 1);
  const told = JSON.parse(once.stdout);
  assertJsonForm(told, "lists follow");
  assert.deepEqual(told.fault, { kind: "lists_refused", because: "not_signed" });
  assert.match((await run(a, "node", "list")).stdout, /^b: .*97 behind: Refused the lists/m);

  // The real ones under a higher number are not what was signed.
  await withSiteStore(a, ({ lists }) => lists!.publish({ ...real, number: 100 }, 99));
  await poll("its refusal", () => /^error: list 100: .*not as this version/m.test(follower.stderr));
  // Newer ones, and then the real ones again: they are older than those in place.
  const published = await run(a, "lists", "publish", "--json");
  assert.equal(published.code, 0, published.stderr);
  assertJsonForm(JSON.parse(published.stdout), "lists publish");
  assert.equal(await followed(b), 3);
  const newer = await listsOn(b);
  await withSiteStore(a, ({ lists }) => lists!.publish(real, 3));
  await poll("its refusal", () => /^error: list 2: .*in place are newer/m.test(follower.stderr));
  assert.equal(await listsOn(b), newer);
});

testLists(
  "a new authority of the devices comes to every broker, and the old one goes",
  async (nodes) => {
    const { a, b, follow } = nodes;
    const folder = await a.register("sensor_001");
    const old = `${a.layout.directory}/old`;
    const follower = follow(b);
    assert.equal((await run(a, "lists", "publish")).code, 0);
    const begun = await run(a, "rotate-authority");
    assert.equal(begun.code, 0, begun.stderr + follower.stderr);
    const probeBefore = await Deno.readTextFile(b.layout.probe.certificate);
    await Deno.rename(folder, old);
    const rotated = await run(a, "device", "rotate", "sensor_001", "--certificate");
    assert.equal(rotated.code, 0, rotated.stderr);
    const used = await withSiteStore(
      a,
      async ({ lists }) => (await lists!.uses()).find(({ node }) => node === "b")!,
    );
    assert.equal(used.number, 3);
    for (const path of [old, folder]) await (await b.connect(path)).close();
    // The end of the move waits for who may not know the new authority.
    follower.kill("SIGSTOP");
    await withSiteStore(a, ({ lists }) => lists!.note({ ...used, number: 2 }));
    const early = await run(a, "rotate-authority", "--finish");
    assert.equal(early.code, 1);
    assert.match(early.stderr, /^error: Not every broker uses list 3 yet: b\n/);
    follower.kill("SIGCONT");
    await followed(b);
    const finished = await run(a, "rotate-authority", "--finish");
    assert.equal(finished.code, 0, finished.stderr + follower.stderr);
    await assert.rejects(b.connect(old));
    const device = await b.connect(folder);
    await device.response((await device.send("1")).messageId);
    assert.equal(await Deno.readTextFile(b.layout.probe.certificate), probeBefore);
  },
);

testLists("what the store does while it is away ends no follower", async (nodes) => {
  const { a, b, postgres, follow } = nodes;
  await a.register(DEVICE_ID);
  const follower = follow(b);
  assert.equal((await run(a, "lists", "publish")).code, 0);
  await postgres.server.kill();
  await poll("its words", () => /^note: Cannot use /m.test(follower.stderr), PATIENT);
  await postgres.server.start();
  await poll("its words", () => /^note: the store is back$/m.test(follower.stderr), PATIENT);
  const revoked = await run(a, "device", "revoke", DEVICE_ID);
  assert.equal(revoked.code, 0, revoked.stderr);
});

testLists(
  "a broker that was away for long is proved to use lists whose proof has expired",
  async (nodes) => {
    const { a, b } = nodes;
    const opened = await openDeviceAuthorities(a.layout);
    assert.ok(opened.ok);
    const nowMs = Date.now() - 400 * DAY_MS;
    const revocations = { denied: [DEVICE_ID], certificates: [], listNumber: 2 };
    const signed = await signLists(opened.authorities, revocations, { nowMs });
    const kept = { proofs: [], ended: [] };
    const old = await sealLists(signed, { nowMs, kept, target: undefined, probes: [] });
    assert.ok(await withSiteStore(a, ({ lists }) => lists!.publish(old, 0)));
    for (let i = 0; i < 2; i++) {
      const { code, stdout, stderr } = await run(b, "lists", "follow", "--once");
      assert.equal(code, 0, stderr);
      assert.match(stdout, /^probe: a certificate on this list is refused: .*revoked/im);
    }
    assert.deepEqual(await numbersOf(b), { newest: 2, used: 2 });
    // The number of the next list is the store's, and was taken by another machine.
    assert.equal((await run(a, "lists", "publish")).code, 1);
    assert.deepEqual(await numbersOf(b), { newest: 3, used: 2 });
  },
);
