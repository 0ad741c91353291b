/** What stands in a store that others can write to is used only if all of it is right. */

import assert from "node:assert/strict";
import {
  type Authority,
  createAuthority,
  createRevocationList,
  issueClientCertificate,
} from "../../../src/site/pki/authority.ts";
import { isSignedBy, signText } from "../../../src/site/pki/signed_text.ts";
import { listNumberOf, listsName } from "../../../src/site/pki/revocation_list.ts";
import { type SignedLists, signLists } from "../../../src/site/operations/broker_lists.ts";
import {
  checkLists,
  ENDS_TOLD_DAYS,
  keptOf,
  type ListsContent,
  sealLists,
} from "../../../src/site/operations/published_lists.ts";
import { DAY_MS } from "../../../src/core/time.ts";
import type { PublishedLists } from "../../../src/store/shared_lists.ts";

const NOW_MS = Date.UTC(2026, 0, 2);
const NOTHING = { proofs: [], ended: [] } as const;

const ours = await createAuthority({ commonName: "Device authority", nowMs: NOW_MS });
const foreign = await createAuthority({ commonName: "Device authority", nowMs: NOW_MS });

async function lists(number: number, authorities: SignedLists["authorities"] = [ours]) {
  const revocations = { denied: ["thief"], certificates: [], listNumber: number };
  return await signLists(authorities, revocations, { nowMs: NOW_MS });
}

async function published(number: number, authorities?: SignedLists["authorities"]) {
  return await sealLists(await lists(number, authorities), {
    ...{ nowMs: NOW_MS, kept: NOTHING, probes: [] },
    target: { deviceId: "thief", because: "revoked" },
  });
}

async function refusalOf(
  one: PublishedLists,
  { trusted = [ours], inPlace = 0, nowMs = NOW_MS }: {
    trusted?: readonly Authority[];
    inPlace?: number;
    nowMs?: number;
  } = {},
) {
  const pems = trusted.map(({ certificatePem }) => certificatePem);
  const checked = await checkLists(one, { trusted: pems, inPlace, nowMs });
  return checked.ok ? undefined : checked.because;
}

/** The lists with one thing changed, signed again by an authority. */
async function changed(
  change: (content: ListsContent) => Partial<Record<keyof ListsContent, unknown>>,
  by = ours,
): Promise<PublishedLists> {
  const { content: text, number } = await published(7);
  const content = JSON.parse(text);
  const other = JSON.stringify({ ...content, ...change(content) });
  return { number, content: other, signatures: JSON.stringify([await signText(by, other)]) };
}

Deno.test("lists that an authority of the site has signed are used", async () => {
  assert.equal(await refusalOf(await published(7)), undefined);
  assert.equal(await refusalOf(await published(7), { inPlace: 7 }), undefined);
  const checked = await checkLists(await published(7), {
    ...{ trusted: [ours.certificatePem], inPlace: 6, nowMs: NOW_MS },
  });
  assert.ok(checked.ok);
  assert.deepEqual(checked.content.denied, ["thief"]);
  assert.equal(listNumberOf(checked.content.revocationLists), 7);
});

Deno.test("lists older than those in place are refused", async () => {
  assert.equal(await refusalOf(await published(7), { inPlace: 8 }), "older");
});

Deno.test("what nobody has signed who is trusted here is refused, whatever it says", async () => {
  const one = await published(7);
  const tampered = { ...one, content: one.content.replace('["thief"]', "[]") };
  assert.equal(await refusalOf(tampered), "not_signed");
  assert.equal(await refusalOf({ ...one, signatures: "[]" }), "not_signed");
  assert.equal(await refusalOf(await published(7, [foreign])), "not_signed");
  const renamed = (await published(7, [foreign])).signatures.replace(
    /"issuer":"[0-9a-f]+"/,
    `"issuer":"${JSON.parse(one.signatures)[0].issuer}"`,
  );
  assert.equal(await refusalOf({ ...one, signatures: renamed }), "not_signed");
  for (const signatures of ["", "{", "null", "{}", "[1]", '[{"issuer":1}]', '[{"issuer":"a"}]']) {
    assert.equal(await refusalOf({ ...one, signatures }), "not_readable", signatures);
  }
});

Deno.test("a signature is good for its text and its authority only", async () => {
  const signed = await signText(ours, "one");
  assert.ok(await isSignedBy([ours.certificatePem], "one", [signed]));
  assert.ok(!await isSignedBy([ours.certificatePem], "two", [signed]));
  assert.ok(!await isSignedBy([foreign.certificatePem], "one", [signed]));
  assert.ok(!await isSignedBy([ours.certificatePem], "one", [{ ...signed, signature: "?" }]));
});

Deno.test("what is signed and wrong in any part is refused", async () => {
  const foreignList = await createRevocationList(foreign, {
    ...{ revoked: [], number: 7, nowMs: NOW_MS },
  });
  const ownList = await createRevocationList(ours, { revoked: [], number: 6, nowMs: NOW_MS });
  const stranger = await issueClientCertificate(foreign, { commonName: "p", nowMs: NOW_MS });
  const wrong: Readonly<Record<string, Parameters<typeof changed>[0]>> = {
    "another number than in the row": () => ({ number: 8 }),
    "an id that is none": () => ({ denied: ["thief", "a\ntopic readwrite #"] }),
    "an id to be ended that is none": () => ({
      ended: [{ deviceId: "$SYS/#", because: "removed", number: 7, atMs: NOW_MS }],
    }),
    "a list of another authority": () => ({ revocationLists: foreignList }),
    "a list of another number": () => ({ revocationLists: ownList }),
    "no list": () => ({ revocationLists: "" }),
    "a list twice": ({ revocationLists }) => ({ revocationLists: revocationLists.repeat(2) }),
    "more than a list": ({ revocationLists }) => ({ revocationLists: `${revocationLists}#` }),
    "an authority too many": ({ authorities }) => ({
      authorities: [...authorities, foreign.certificatePem],
    }),
    "no authority": () => ({ authorities: [] }),
    "an authority with more in its text": ({ authorities }) => ({
      authorities: [`${authorities[0]}${foreign.certificatePem}`],
    }),
    "a proof of another authority": () => ({
      proof: { certificate: stranger.certificatePem, key: stranger.keyPem },
    }),
    "a proof without its key": ({ proof }) => ({ proof: { ...proof, key: stranger.keyPem } }),
    "a probe that is no certificate": () => ({ probes: ["x"] }),
  };
  for (const [what, change] of Object.entries(wrong)) {
    assert.equal(await refusalOf(await changed(change)), "not_sound", what);
  }
  const unreadable: Readonly<Record<string, Parameters<typeof changed>[0]>> = {
    "a number that is none": () => ({ number: "7" }),
    "ids that are no list": () => ({ denied: "thief" }),
    "no proof": () => ({ proof: null }),
    "a serial that is none": () => ({ proofs: [{ serial: "x", issuer: "", revokedAtMs: 1 }] }),
    "an end that is none": () => ({ ended: [{}] }),
  };
  for (const [what, change] of Object.entries(unreadable)) {
    assert.equal(await refusalOf(await changed(change)), "not_readable", what);
  }
});

Deno.test("a list whose time is over is refused: it would refuse every device", async () => {
  const after = ours.certificate.notAfter.getTime() + 1;
  assert.equal(await refusalOf(await published(7), { nowMs: after }), "not_sound");
});

Deno.test("during a move of the authority, both sign: who knows the previous one takes the new one", async () => {
  const next = await createAuthority({ commonName: "Device authority 2", nowMs: NOW_MS });
  const moving = await published(7, [next, ours]);
  assert.equal(await refusalOf(moving), undefined);
  assert.equal(await refusalOf(moving, { trusted: [next] }), undefined);
  assert.equal(await refusalOf(await published(8, [next])), "not_signed");
});

Deno.test("lists go on to name earlier proofs, and to end connections, for as long as that is of use", async () => {
  const first = JSON.parse((await published(7)).content) as ListsContent;
  const kept = keptOf(first, NOW_MS + 2 * DAY_MS);
  assert.equal(kept.proofs.length, 1);
  const revocations = { denied: ["thief"], certificates: [], listNumber: 8 };
  const options = { nowMs: NOW_MS, spent: kept.proofs };
  const next = await signLists([ours], revocations, options);
  const sealed = await sealLists(next, {
    ...{ nowMs: NOW_MS, kept, probes: [], target: { deviceId: "old", because: "removed" } },
  });
  const content = JSON.parse(sealed.content) as ListsContent;
  assert.deepEqual(content.ended.map(({ deviceId }) => deviceId), ["thief", "old"]);
  assert.equal(content.proofs.length, 2);
  for (const { serial } of content.proofs) {
    assert.ok(listsName(next.revocationLists, serial), serial);
  }
  const later = keptOf(content, NOW_MS + (ENDS_TOLD_DAYS - 1) * DAY_MS);
  assert.deepEqual([later.proofs.length, later.ended.length], [0, 2]);
  const last = keptOf(content, NOW_MS + (ENDS_TOLD_DAYS + 1) * DAY_MS);
  assert.deepEqual(last, { proofs: [], ended: [] });
});

Deno.test("the connection of a device that was restored is not ended any longer", async () => {
  const { ended } = JSON.parse((await published(7)).content) as ListsContent;
  const revocations = { denied: [], certificates: [], listNumber: 8 };
  const restored = await signLists([ours], revocations, { nowMs: NOW_MS });
  const sealed = await sealLists(restored, {
    ...{ nowMs: NOW_MS, kept: { proofs: [], ended }, probes: [], target: undefined },
  });
  assert.deepEqual(JSON.parse(sealed.content).ended, []);
});
