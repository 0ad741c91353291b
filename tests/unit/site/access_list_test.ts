import assert from "node:assert/strict";
import {
  accessListFaults,
  DENIALS_MARK,
  deviceListFaults,
  withDenials,
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
