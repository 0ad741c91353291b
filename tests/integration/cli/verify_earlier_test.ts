/** `verify` of a message that the gateway has had before. */

import assert from "node:assert/strict";
import { type Envelope, readEnvelope } from "../../../src/core/envelope.ts";
import type { MessageStore } from "../../../src/core/ports.ts";
import { siteLayout } from "../../../src/site/layout.ts";
import { openStore } from "../../../src/store/open_store.ts";
import { DEVICE_ID, message, MESSAGE_ID, NOW, SECRET, TIMESTAMP } from "../../support/judge.ts";
import { quietPorts, shell } from "../../support/shell.ts";
import { withFolder } from "../../support/with_folder.ts";
import { batch, candidate, messagesOf } from "../../unit/store/contract/sample_batch.ts";

const ACCEPTED_AT = new Date(NOW * 1000).toISOString();
const LATER = ["--at", String(NOW + 1000)];
const CAUSE = {
  deadLetter: { status: 400, reason: "no", deadLetteredAtMs: NOW * 1000, answer: undefined },
};

/** A site whose gateway has accepted `text`. */
async function withAccepted(
  text: string,
  work: (site: { dir: string; messages: MessageStore; sequence: number }) => Promise<void>,
): Promise<void> {
  await withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/secret`, SECRET);
    const dir = `${folder}/site`;
    await shell(["init", "--dir", dir, ...quietPorts()]);
    await shell(["device", "add", DEVICE_ID, "--secret-file", `${folder}/secret`, "--dir", dir]);
    const store = await openStore({ database: siteLayout(dir).database }, { author: "gateway" });
    try {
      const messages = messagesOf(store);
      const envelope = readEnvelope(new TextEncoder().encode(text)) as Envelope;
      const examined = { ...candidate(DEVICE_ID), envelope, signedPayload: envelope.payload };
      const { committed: [one] } = await messages.commit(batch({ examined: [examined] }));
      assert.equal(one!.kind, "accepted");
      const sequence = one!.kind === "accepted" ? one!.entry.sequence : 0;
      await work({ dir, messages, sequence });
    } finally {
      await store.close();
    }
  });
}

async function verified(text: string, dir: string, ...at: string[]) {
  const [said, json] = await Promise.all(
    [[], ["--json"]].map((more) =>
      shell(["verify", DEVICE_ID, "-", "--dir", dir, ...at, ...more], text)
    ),
  );
  assert.equal(said!.code, json!.code);
  const { accepted, rejection, earlier, hints } = JSON.parse(json!.stdout);
  const [sentence] = said!.stdout.trimEnd().split("\n").slice(-1);
  return {
    code: said!.code,
    said: said!.stdout,
    sentence: sentence!,
    accepted,
    rejection,
    earlier,
    hints,
  };
}

Deno.test("verify says where a message is that was accepted: it waits, is a dead letter, or delivered", async () => {
  const text = await message("22.5", {});
  await withAccepted(text, async ({ dir, messages, sequence }) => {
    const say = async (expected: RegExp, earlier: object) => {
      for (const at of [["--at", TIMESTAMP], LATER]) {
        const { code, said, sentence, ...json } = await verified(text, dir, ...at);
        assert.equal(code, 0, said);
        assert.doesNotMatch(said, /FAIL/);
        assert.match(said, /^(replayed|timestamp_out_of_range) +accepted before$/m);
        assert.match(sentence, expected);
        assert.deepEqual(json, { accepted: true, rejection: null, earlier, hints: [] });
      }
    };
    const accepted_at = ACCEPTED_AT;
    await say(
      new RegExp(`^Accepted .* at ${ACCEPTED_AT}: it waits in the outbox .* number ${sequence};`),
      { state: "waiting", sequence, accepted_at },
    );
    await messages.commit(batch({ settlements: [{ sequence, ...CAUSE }] }));
    await say(/: it is a dead letter .* dead show 1;/, {
      state: "dead_letter",
      sequence,
      accepted_at,
    });
  });
  await withAccepted(text, async ({ dir, messages, sequence }) => {
    await messages.commit(batch({ settlements: [{ sequence, deadLetter: undefined }] }));
    const { code, sentence, earlier } = await verified(text, dir, "--at", TIMESTAMP);
    assert.equal(code, 0);
    assert.match(sentence, /: it is delivered; sent again, it is refused$/);
    assert.deepEqual(earlier, {
      state: "delivered",
      accepted_since: ACCEPTED_AT,
      accepted_until: ACCEPTED_AT,
    });
  });
});

Deno.test("verify refuses another message with the message_id of one that was accepted", async () => {
  await withAccepted(await message("22.5", {}), async ({ dir, messages, sequence }) => {
    const refused = async (text: string, at: number) => {
      const { code, rejection, earlier } = await verified(text, dir, "--at", String(at));
      assert.deepEqual([code, rejection?.code, earlier], [1, "replayed", null]);
    };
    await refused(await message("22.6", {}), NOW);
    await messages.commit(batch({ settlements: [{ sequence, ...CAUSE }] }));
    await refused(await message("22.6", { messageId: MESSAGE_ID.toUpperCase() }), NOW);
  });
  await withAccepted(await message("22.5", {}), async ({ dir, messages, sequence }) => {
    await messages.commit(batch({ settlements: [{ sequence, deadLetter: undefined }] }));
    await refusedLater(dir);
  });
});

async function refusedLater(dir: string): Promise<void> {
  const text = await message("22.6", { timestamp: String(Number(TIMESTAMP) + 1) });
  const { code, rejection, earlier } = await verified(text, dir, "--at", String(NOW));
  assert.deepEqual([code, rejection?.code, earlier], [1, "replayed", null]);
}
