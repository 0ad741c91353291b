import assert from "node:assert/strict";
import { type DeviceLine, readDeviceLines } from "../../../src/cli/device_file.ts";

Deno.test("readDeviceLines() takes a table as spreadsheets write it", () => {
  const a = { deviceId: "a", validDays: 30 };
  const b = { deviceId: "b" };
  const rows: [what: string, text: string, lines: readonly Omit<DeviceLine, "line">[]][] = [
    ["commas", "device_id,valid_days\na,30\nb,\n", [a, b]],
    ["semicolons", "device_id;valid_days\r\na;30\r\nb;\r\n", [a, b]],
    ["tabs", "device_id\tvalid_days\na\t30\nb\t", [a, b]],
    ["a line that names the separator", "sep=;\r\ndevice_id;valid_days\r\na;30\r\nb;", [a, b]],
    ["any separator that is named", "sep=|\ndevice_id|valid_days\na|30\nb|", [a, b]],
    ["carriage returns alone", "device_id,valid_days\ra,30\rb,\r", [a, b]],
    ["empty rows", "device_id,valid_days\n,\na,30\n \n,\nb,\n,,,\n", [a, b]],
    ["empty columns", ",device_id,,valid_days,,\n,a,,30,,\n,b,,,,\n", [a, b]],
    ["cells that are left out", "device_id,valid_days,csr\na,30\nb\n", [a, b]],
    ["other spellings", "Device ID,VALID-DAYS\na,30\nb,", [a, b]],
    ["quotes everywhere", '"Device ID"; "valid days" \n"a";"30"\n" b ";""', [a, b]],
    ["a separator in a quoted header", '"device_id";"Valid_Days"\n"a";30\nb;', [a, b]],
    ["a quoted secret as it is", 'device_id,secret\na," x, ""y"" "', [{
      deviceId: "a",
      secret: ' x, "y" ',
    }]],
    ["one column", "device_id\nb\n", [b]],
    ["JSON Lines", '{"deviceId":"a","valid_days":"30","csr":null}\n\n{"device_id":"b"}', [a, b]],
    ["nothing", "", []],
    ["the separator alone", "sep=;\n", []],
  ];
  for (const [what, text, expected] of rows) {
    const { lines, faults } = readDeviceLines(text);
    assert.deepEqual(faults, [], what);
    assert.deepEqual(lines.map(({ line: _, ...device }) => device), expected, what);
  }
});

Deno.test("readDeviceLines() names each cause once, with its line", () => {
  const rows: [text: string, faults: [line: number, fault: RegExp][]][] = [
    ["id\na", [[1, /header must name the fields/]]],
    ["a;topsecret", [[1, /^the header must name the fields, "device_id" among them$/]]],
    ["\n\ndevice_id,device_id\na,a", [[3, /names "device_id" twice/]]],
    ["device_id,Device ID\na,a", [[1, /names "device_id" twice/]]],
    ["device_id,colour\na,red\nb,red", [[1, /unknown field "colour"/]]],
    ["device_id,\na,red\nb,red", [[2, /field 2 has no name in the header/]]],
    ['device_id,csr\na,,,x\nb,,\nc,"', [[2, /4 fields, and 2 in the header/], [4, /quote/]]],
    ["device_id,valid_days\n,7\na,0x10", [[2, /device_id is missing/], [3, /valid_days/]]],
    ['{"device_id":1}', [[1, /device_id is missing, or not a string/]]],
    ['{"device_id":"a"}\n[1]', [[2, /it is not a JSON object/]]],
    ['{"device_id":"a","x":1}\n{"device_id":"b","x":1}', [[1, /unknown field "x"/]]],
    ['{"device_id":"a","deviceId":"b"}', [[1, /it has "device_id" twice/]]],
    ['{"device_id":"a","secret":1,"csr":[],"valid_days":0}', [
      [1, /secret is not a string/],
      [1, /csr is not a string/],
      [1, /valid_days is not a whole number/],
    ]],
    ['[\n{"device_id":"a"},\n{"device_id":"b"}\n]', [[1, /one whole object on each line/]]],
    ['{\n"device_id":"a"\n}', [[1, /one whole object on each line/]]],
    ...["true", "[30]", '"0x10"', "1.5", '"1e1"', '""', "{}", "1e99", '"７"'].map((days) =>
      [`{"device_id":"a","valid_days":${days}}`, [[1, /^valid_days is not a whole number/]]] as [
        string,
        [number, RegExp][],
      ]
    ),
  ];
  for (const [text, expected] of rows) {
    const { faults } = readDeviceLines(text);
    assert.deepEqual(faults.map(({ line }) => line), expected.map(([line]) => line), text);
    for (const [i, { fault }] of faults.entries()) assert.match(fault, expected[i]![1], text);
  }
});

Deno.test("readDeviceLines() keeps the id of a line that has a fault, for others that repeat it", () => {
  const { lines } = readDeviceLines("device_id,valid_days\na,soon\n");
  assert.deepEqual(lines, [{ line: 2, deviceId: "a" }]);
});
