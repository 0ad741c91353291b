import assert from "node:assert/strict";
import {
  accessListFaults,
  DENIALS_MARK,
  deviceListFaults,
  missingLines,
  NEW_LISTS,
  NEWER_RULES,
  rulesOf,
  withDenials,
  withLines,
} from "../../../src/site/mosquitto/access_list.ts";

const LIST = "pattern write device/%u/data\n" +
  "pattern read device/%u/response\n" +
  "pattern read device/%u/command\n";

Deno.test("withDenials() denies exactly those it is told, and keeps the operator's lines", () => {
  const own = `${LIST}# mine\nuser boss\ntopic read #`;
  const denied = withDenials(own, ["a", "b"]);
  assert.equal(
    denied,
    `${own}\n${DENIALS_MARK}\nuser a\ntopic deny device/#\nuser b\ntopic deny device/#\n`,
  );
  assert.equal(withDenials(denied, ["b"]), withDenials(own, ["b"]));
  assert.equal(withDenials(denied, []), `${own}\n`);
});

Deno.test("deviceListFaults() names what Mosquitto would stumble over, and what is missing", () => {
  assert.deepEqual(deviceListFaults(withDenials(LIST, ["a"])), []);
  const rows: [string, RegExp][] = [
    ["topic", /line 1: no topic is named/],
    ["user ", /line 1: no user is named/],
    ["users a", /line 1: "users" is none of/],
    ["topic reed a/b", /line 1: "reed" is none of/],
    ["topic read a/#/b", /line 1: "a\/#\/b" is not a topic filter/],
    ["\n\npattern a+/b", /line 3: "a\+\/b" is not a topic filter/],
  ];
  for (const [text, fault] of rows) assert.match(accessListFaults(text).join("; "), fault);
  assert.deepEqual(accessListFaults("# a\n\ntopic a b c\ntopic deny a/+/#\nuser a b\n").length, 1);
  assert.match(
    deviceListFaults("").join("; "),
    /there is no line "pattern write device\/%u\/data"/,
  );
});

Deno.test("missingLines() finds what a list lacks, and withLines() adds it where a new list has it", () => {
  const wanted = "# Head.\n# a\nr a\n# b\nr b\n\n# c\nr c\n";
  const rows: [before: string, after: string][] = [
    [wanted, wanted],
    ["", wanted],
    ["r a\nr c\n", "r a\n# b\nr b\nr c\n"],
    ["r a", "r a\n# b\nr b\n\n# c\nr c"],
    ["r b\nmine\n", "# Head.\n# a\nr a\nr b\n\n# c\nr c\nmine\n"],
    ["r c\nr a\n", "r c\nr a\n# b\nr b\n"],
    [" r   a \r\n#r b\nr c", " r   a \r\n# b\nr b\n#r b\nr c"],
    [`${DENIALS_MARK}\nr a\nr b\nr c\n`, `${wanted}${DENIALS_MARK}\nr a\nr b\nr c\n`],
  ];
  for (const [before, after] of rows) {
    const upgraded = withLines(before, missingLines(before, wanted));
    assert.equal(upgraded.replaceAll("\n\n", "\n"), after.replaceAll("\n\n", "\n"), before);
    assert.deepEqual(missingLines(upgraded, wanted), [], before);
  }
});

Deno.test("a site of the version before lacks exactly the newer rules, and is then as a new one", () => {
  const missing = (["devices", "gateway"] as const).flatMap((which) => {
    const older = Deno.readTextFileSync(
      new URL(`../../support/older_site/acl_${which}`, import.meta.url),
    );
    assert.deepEqual(accessListFaults(older), []);
    const insertions = missingLines(older, NEW_LISTS[which]);
    assert.equal(withLines(older, insertions), NEW_LISTS[which]);
    return insertions.flatMap(({ lines }) => rulesOf(lines.join("\n")));
  });
  assert.deepEqual(missing, NEWER_RULES);
});
