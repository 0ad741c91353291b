import assert from "node:assert/strict";
import { poll } from "../../../src/time/poll.ts";
import { ServiceNotifier } from "../../../src/process/systemd_notify.ts";
import { withSystemd } from "../../support/with_systemd.ts";

function environment(variables: Readonly<Record<string, string>>) {
  return (name: string) => variables[name];
}

Deno.test("systemd is told when messages flow and when they end", async () => {
  await withSystemd(async ({ path, words }) => {
    using notifier = new ServiceNotifier(environment({ NOTIFY_SOCKET: path }), { emit: () => {} });
    await notifier.ready();
    await notifier.stopping();
    await poll("two words", () => words.length === 2);
    assert.match(words[0]!, /^READY=1\nSTATUS=/);
    assert.match(words[1]!, /^STOPPING=1\nSTATUS=/);
  });
});

Deno.test("the watchdog is fed while the gateway answers, and starves when it does not", async () => {
  await withSystemd(async ({ path, words }) => {
    const variables = { NOTIFY_SOCKET: path, WATCHDOG_USEC: "30000", WATCHDOG_PID: `${Deno.pid}` };
    using notifier = new ServiceNotifier(environment(variables), { emit: () => {} });
    let asked = 0;
    const answers = [
      () => Promise.resolve(true),
      () => Promise.resolve(true),
      () => Promise.resolve(false),
      () => Promise.reject(new Error("dead")),
      () => new Promise<boolean>(() => {}), // never answers: nothing is asked after it
    ];
    notifier.feedWhile(() => answers[asked++]!());
    await poll("every answer", () => asked === answers.length);
    await notifier.stopping();
    await poll("the last word", () => words.some((word) => word.startsWith("STOPPING=1")));
    assert.deepEqual(words.filter((word) => word === "WATCHDOG=1").length, 2);
    assert.equal(asked, answers.length);
  });
});

Deno.test("another process's watchdog is not fed, and without systemd nothing is said", async () => {
  await withSystemd(async ({ path, words }) => {
    const foreign = { NOTIFY_SOCKET: path, WATCHDOG_USEC: "1000", WATCHDOG_PID: "1" };
    for (const variables of [foreign, { NOTIFY_SOCKET: path }, {}]) {
      using notifier = new ServiceNotifier(environment(variables), { emit: () => {} });
      notifier.feedWhile(() => Promise.reject(new Error("it must not be asked")));
      await notifier.ready();
    }
    await poll("two words", () => words.length === 2);
    assert.ok(words.every((word) => word.startsWith("READY=1")));
  });
});

Deno.test("a notification that does not arrive is logged, and stops nothing", async () => {
  const events: string[] = [];
  using notifier = new ServiceNotifier(environment({ NOTIFY_SOCKET: "/none/such" }), {
    emit: ({ kind }) => events.push(kind),
  });
  await notifier.ready();
  assert.deepEqual(events, ["systemd_notify_failed"]);
});

Deno.test("a reload is told to systemd, but not before the gateway is ready, nor at its end", async () => {
  await withSystemd(async ({ path, words }) => {
    using notifier = new ServiceNotifier(environment({ NOTIFY_SOCKET: path }), { emit: () => {} });
    await notifier.reloading();
    await notifier.reloaded();
    await notifier.ready();
    await notifier.reloading();
    await notifier.reloaded();
    await notifier.stopping();
    await notifier.reloaded();
    await notifier.ready();
    await poll("five notifications", () => words.length === 5);
    const states = words.map((word) => word.split("\n")[0]);
    assert.deepEqual(states, ["READY=1", "RELOADING=1", "READY=1", "STOPPING=1", "READY=1"]);
  });
});
