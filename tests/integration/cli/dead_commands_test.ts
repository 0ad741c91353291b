import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { ChildProcess } from "../../../src/demo/sandbox/child_process.ts";
import { programCommand } from "../../../src/demo/sandbox/gateway_process.ts";
import { DeadLetters } from "../../../src/store/sqlite/dead_letters.ts";
import { Outbox } from "../../../src/store/sqlite/outbox.ts";
import { Registry } from "../../../src/store/sqlite/registry.ts";
import { Database } from "../../../src/store/sqlite/database.ts";
import { siteLayout } from "../../../src/site/layout.ts";
import { withFolder } from "../../support/with_folder.ts";
import type { FinishedRun } from "../../support/finished_run.ts";
import { quietPorts, shell } from "../../support/shell.ts";

const DEAD_LETTERED_MS = Date.UTC(2026, 0, 2, 3, 4, 5, 678);

// deno-lint-ignore no-control-regex
const UNPRINTABLE = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/; // newlines end our lines

/** What a dead letter of a test is made of. */
interface Letter {
  readonly deviceId?: string;
  readonly payload?: string | Uint8Array;
  readonly deadLetteredAtMs?: number;
  readonly status?: number | undefined;
  readonly reason?: string;
}

/** A site made by the program itself, whose gateway never ran. */
class DeadSite {
  readonly directory: string;
  readonly #database: string;

  constructor(directory: string) {
    this.directory = directory;
    this.#database = siteLayout(directory).database;
  }

  withStore<T>(work: (store: Database) => T): T {
    const store = new Database(this.#database);
    try {
      return work(store);
    } finally {
      store.close();
    }
  }

  /** Makes dead letters; returns their sequence numbers and message ids. */
  add(...all: Letter[]): { sequence: number; messageId: string }[] {
    return this.withStore((store) => {
      const [outbox, dead] = [new Outbox(store), new DeadLetters(store)];
      return store.transaction(() => all.map((letter) => addLetter(letter, outbox, dead)));
    });
  }

  /** The payload texts in the outbox, in order. */
  waiting(): string[] {
    return this.withStore((store) => {
      const outbox = new Outbox(store);
      return [...outbox.after(0)].map(({ sequence }) =>
        new TextDecoder().decode(outbox.read([sequence])[0]!.payload)
      );
    });
  }

  left(): number {
    return this.withStore((store) => new DeadLetters(store).count());
  }

  dead(...args: string[]): Promise<FinishedRun> {
    return shell(["dead", ...args, "--dir", this.directory]);
  }
}

function addLetter(letter: Letter, outbox: Outbox, dead: DeadLetters) {
  const {
    deviceId = "sensor_001",
    payload = "1",
    deadLetteredAtMs = DEAD_LETTERED_MS,
    reason = "refused",
  } = letter;
  const messageId = crypto.randomUUID();
  const { sequence } = outbox.append({
    deviceId,
    messageId,
    timestamp: "1727712000",
    acceptedMs: DEAD_LETTERED_MS - 1_000,
    payload: typeof payload === "string" ? new TextEncoder().encode(payload) : payload,
  });
  dead.deadLetter(sequence, {
    status: "status" in letter ? letter.status : 422,
    reason,
    deadLetteredAtMs,
  });
  outbox.remove(sequence);
  return { sequence, messageId };
}

async function withSite(work: (site: DeadSite) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    const directory = `${folder}/site`;
    const made = await shell(["init", "--dir", directory, ...quietPorts()]);
    assert.equal(made.code, 0, made.stderr);
    await work(new DeadSite(directory));
  });
}

function assertFine(result: FinishedRun, stdout: string): void {
  assert.deepEqual(result, { code: 0, stdout: `${stdout}\n`, stderr: "" });
}

function assertError(result: FinishedRun, code: number, stderr: string): void {
  assert.deepEqual(result, { code, stdout: "", stderr: `${stderr}\n` });
}

Deno.test("dead list shows aligned lines of 80 characters, the oldest first", async () => {
  await withSite(async (site) => {
    const long = "d".repeat(64);
    const reason = "not delivered within its time";
    site.add(
      { deadLetteredAtMs: DEAD_LETTERED_MS + 5_000, status: undefined, reason },
      { deviceId: long },
    );
    assertFine(
      await site.dead("list"),
      [
        `SEQUENCE  ${"DEVICE".padEnd(24)}  ${"DEAD LETTER SINCE".padEnd(20)}  STATUS  REASON`,
        `       2  ${long}`,
        `${" ".repeat(34)}  2026-01-02T03:04:05Z  422     refused`,
        `       1  ${"sensor_001".padEnd(24)}  2026-01-02T03:04:10Z  -       not delivered…`,
      ].join("\n"),
    );
  });
});

Deno.test("dead list and show as JSON give every property, and only show the payload", async () => {
  await withSite(async (site) => {
    assert.deepEqual(JSON.parse((await site.dead("list", "--json")).stdout), []);
    const payload = '{"v":22.50,\n "é":"☕\u202e"}';
    const made = site.add({ payload }, { status: undefined, reason: "no answer" });
    const expected = made.map(({ sequence, messageId }, i) => ({
      sequence,
      device_id: "sensor_001",
      message_id: messageId,
      timestamp: "1727712000",
      command_state: null,
      queued_at: "2026-01-02T03:04:04.678Z",
      dead_lettered_at: "2026-01-02T03:04:05.678Z",
      status: i === 0 ? 422 : null,
      reason: i === 0 ? "refused" : "no answer",
    }));
    assert.deepEqual(JSON.parse((await site.dead("list", "--json")).stdout), expected);
    const shown = (await site.dead("show", String(made[0]!.sequence), "--json")).stdout;
    const answer = {
      answer_content_type: null,
      answer_location: null,
      answer: null,
      answer_base64: null,
    };
    assert.deepEqual(JSON.parse(shown), {
      ...expected[0],
      ...answer,
      payload,
      payload_base64: null,
    });
    assert.doesNotMatch(shown, /\u202e/);
  });
});

Deno.test("dead show prints everything, the payload's bytes as the text that they are", async () => {
  await withSite(async (site) => {
    const [plain, odd, binary] = site.add(
      { payload: '{"v":22.50,"é":"☕"}' },
      { payload: '{"a":\n1,"b":"\u202e"}' },
      { payload: new Uint8Array([0xff, 0x00, 0x31]), status: undefined },
    );
    const lines = (
      { sequence, messageId }: { sequence: number; messageId: string },
      status: string,
    ) => [
      `sequence: ${sequence}`,
      "device_id: sensor_001",
      `message_id: ${messageId}`,
      "timestamp: 1727712000",
      "command_state: -",
      "queued_at: 2026-01-02T03:04:04.678Z",
      "dead_lettered_at: 2026-01-02T03:04:05.678Z",
      `status: ${status}`,
      "reason: refused",
    ];
    const show = async (
      letter: { sequence: number; messageId: string },
      status: string,
      end: string,
    ) =>
      assertFine(
        await site.dead("show", String(letter.sequence)),
        [...lines(letter, status), end].join("\n"),
      );
    await show(plain!, "422", 'payload: {"v":22.50,"é":"☕"}');
    await show(
      odd!,
      "422",
      'payload, escaped for the terminal: {"a":\\u000a1,"b":"\\u202e"}',
    );
    await show(binary!, "-", "payload_base64: /wAx");
  });
});

Deno.test("text from outside starts no line and moves no cursor", async () => {
  await withSite(async (site) => {
    const hostile = 'gone\u001b[2J\r\n"\u009b\u202eerror: you';
    const { sequence } = site.add({
      reason: hostile,
      deviceId: "a\u001b[Hb",
      payload: hostile,
    })[0]!;
    const views = [["list"], ["list", "--json"], ["show", `${sequence}`], [
      "show",
      `${sequence}`,
      "--json",
    ]];
    for (const args of views) {
      const { code, stdout } = await site.dead(...args);
      assert.equal(code, 0);
      assert.doesNotMatch(stdout, UNPRINTABLE, args.join(" "));
      assert.doesNotMatch(stdout, /^error/m);
      if (args.includes("--json")) {
        const [shown] = [JSON.parse(stdout)].flat();
        assert.equal(shown.reason, hostile);
      }
    }
  });
});

Deno.test("dead retry and drop say how many, for one, for a device and for all", async () => {
  await withSite(async (site) => {
    const payloads = ['"a1"', '"b1"', '"a2"', '"b2"', '"a3"'];
    const made = site.add(
      ...payloads.map((payload) => ({ payload, deviceId: payload.slice(1, 2) })),
    );
    const third = String(made[2]!.sequence);
    assertFine(await site.dead("retry", third), "Put 1 dead letter back into the outbox");
    assertFine(
      await site.dead("retry", "--device", "a"),
      "Put 2 dead letters back into the outbox",
    );
    assert.deepEqual(site.waiting(), ['"a2"', '"a1"', '"a3"']);
    assertFine(await site.dead("drop", String(made[1]!.sequence)), "Dropped 1 dead letter");
    assertFine(await site.dead("drop", "--device", "b"), "Dropped 1 dead letter");
    assertFine(await site.dead("drop", "--all"), "Dropped 0 dead letters");
    assertFine(await site.dead("retry", "--all"), "Put 0 dead letters back into the outbox");
    assert.equal(site.left(), 0);
    assert.equal(site.waiting().length, 3);
  });
});

Deno.test("a name that nothing has is a failure; a known device without dead letters is none", async () => {
  await withSite(async (site) => {
    site.withStore((store) =>
      new Registry(store).add(
        { deviceId: "sensor_001", sharedSecret: "x", createdAt: 1 },
        { serial: "01", notBefore: 1, notAfter: 2_000_000_000 },
      )
    );
    for (const verb of ["show", "retry", "drop"]) {
      assertError(
        await site.dead(verb, "77"),
        1,
        "error: There is no dead letter 77\nhint: See secure-iot-gateway dead list",
      );
    }
    assertError(
      await site.dead("retry", "--device", "senosr_001"),
      1,
      'error: There is no device "senosr_001"\nhint: See secure-iot-gateway device list',
    );
    assertFine(await site.dead("drop", "--device", "sensor_001"), "Dropped 0 dead letters");
  });
});

Deno.test("retry and drop take exactly one of SEQUENCE, --device and --all, and touch nothing otherwise", async () => {
  await withSite(async (site) => {
    const { sequence } = site.add({})[0]!;
    const hint = "hint: Give exactly one: a SEQUENCE from dead list, --device ID, or --all";
    const several = `error: Only one of SEQUENCE, --device and --all may be given\n${hint}`;
    const noId = (text: string) =>
      `error: There is no dead letter "${text}": its sequence number is a whole number\n` +
      "hint: See secure-iot-gateway dead list; for all of one device: --device ID";
    for (const verb of ["retry", "drop"]) {
      assertError(await site.dead(verb), 2, `error: No dead letter was named\n${hint}`);
      assertError(await site.dead(verb, `${sequence}`, "--all"), 2, several);
      assertError(await site.dead(verb, "--all", "--device", "sensor_001"), 2, several);
      assertError(await site.dead(verb, "sensor_001"), 2, noId("sensor_001"));
    }
    assertError(await site.dead("show", "1e3"), 2, noId("1e3"));
    assert.match((await site.dead("retry", "1", "2")).stderr, /^error: Too many arguments/);
    assert.match((await site.dead("rety", "--all")).stderr, /hint: Did you mean retry\?/);
    assert.match((await shell(["dead"])).stderr, /^error: Name a command/);
    assert.equal(site.left(), 1);
  });
});

Deno.test("dead list gives all of very many, and ends with its reader", async () => {
  await withSite(async (site) => {
    site.add(...Array<Letter>(20_000).fill({}));
    const { code, stdout } = await site.dead("list", "--json");
    assert.equal(code, 0);
    assert.equal(JSON.parse(stdout).length, 20_000);
    const { path, args } = programCommand("dead", "list", "--dir", site.directory);
    const child = new ChildProcess({
      path: "sh",
      args: ["-c", '"$@" | head -1', "sh", path, ...args],
    });
    assert.equal((await child.exited).code, 0);
    assert.match(child.stdout, /^SEQUENCE +DEVICE +.*\n$/);
    assert.equal(child.stderr, "", "a reader that had enough is no error");
  });
});

Deno.test("a store that does not work is named, and is no fault of the program", async () => {
  await withSite(async (site) => {
    const { database } = siteLayout(site.directory);
    const other = new DatabaseSync(database);
    other.exec("ALTER TABLE outbox RENAME COLUMN payload TO contents");
    other.close();
    assertError(
      await site.dead("retry", "--all"),
      1,
      `error: Cannot use "${database}": no such column: payload`,
    );
    await Deno.writeTextFile(database, "no database at all ".repeat(500));
    const broken = await site.dead("list");
    assert.equal(broken.code, 1);
    assert.match(
      broken.stderr,
      /^error: Cannot open ".*gateway\.db": file is not a database\nhint: /,
    );
  });
});

Deno.test("two retries at once put each dead letter back once", async () => {
  await withSite(async (site) => {
    const payloads = Array.from({ length: 500 }, (_, i) => String(i));
    site.add(...payloads.map((payload) => ({ payload })));
    const both = await Promise.all([site.dead("retry", "--all"), site.dead("retry", "--all")]);
    const counts = both.map(({ stdout }) => Number(/^Put (\d+) /.exec(stdout)![1]));
    assert.equal(counts[0]! + counts[1]!, payloads.length, String(counts));
    assert.deepEqual(site.waiting(), payloads);
    assert.equal(site.left(), 0);
  });
});
