import assert from "node:assert/strict";
import { readConfig } from "../../../src/config/config.ts";
import { listSettings } from "../../../src/config/settings.ts";
import { renderGatewayToml } from "../../../src/site/gateway_toml.ts";

const VALUES = {
  clientId: "secure-iot-gateway-0123456789abcdef",
  backendUrl: "https://backend.example/base/",
  gatewayPort: 18884,
  apiPort: 18443,
  deviceHost: "gateway.example",
  devicePort: 18883,
};

const read = (toml: string, environment: Record<string, string> = {}) =>
  readConfig(toml, { environment, directory: "/site" });

function faultsOf(toml: string, environment: Record<string, string> = {}): readonly string[] {
  const result = read(toml, environment);
  return result.ok ? [] : result.faults;
}

Deno.test("the gateway.toml that init writes has every setting and reads back", () => {
  const toml = renderGatewayToml(VALUES);
  for (const { section, key } of listSettings()) {
    assert.match(toml, new RegExp(`^\\[${section}\\]$`, "m"));
    assert.match(toml, new RegExp(`^(# )?${key} = `, "m"));
  }
  const result = read(toml);
  assert.ok(result.ok);
  assert.equal(result.config.broker.clientId, VALUES.clientId);
  assert.equal(result.config.backend.url, "https://backend.example/base");
  assert.equal(result.config.store.database, "/site/data/gateway.db");
  assert.deepEqual(result.config.devices, {
    host: "gateway.example",
    port: 18883,
    authority: "/site/certs/device-ca.crt",
    revocationList: "/site/certs/device-ca.crl",
  });
});

Deno.test("every default that gateway.toml shows is the one in force", () => {
  const toml = renderGatewayToml(VALUES);
  const shown = toml.replaceAll(/^# ([a-z_]+ = )/gm, "$1");
  assert.deepEqual(read(shown), read(toml));
});

Deno.test("an environment variable overrides a setting, whatever its type", () => {
  const result = read(renderGatewayToml(VALUES), {
    SECURE_IOT_GATEWAY_BACKEND_URL: "http://127.0.0.1:1",
    SECURE_IOT_GATEWAY_API_PORT: "9",
    SECURE_IOT_GATEWAY_LOG_ACCEPTED: "true",
    SECURE_IOT_GATEWAY_CHECKS_RATE_LIMIT_PER_SECOND: "0.5",
    SECURE_IOT_GATEWAY_DIR: "/elsewhere",
    UNRELATED: "x",
  });
  assert.ok(result.ok);
  assert.equal(result.config.backend.url, "http://127.0.0.1:1");
  assert.equal(result.config.api.port, 9);
  assert.equal(result.config.log.accepted, true);
  assert.deepEqual(result.config.checks.rate, { perSecond: 0.5, burst: 10 });
});

Deno.test("all faults are named at once, each with its place and what is allowed", () => {
  const toml = `
    [broker]
    client_id = "short"
    port = 0
    [backend]
    url = "ftp://x"
    timeout = "10 s"
    nonsense = 1
    [log]
    level = "loud"
    [other]
  `;
  const faults = faultsOf(toml, {
    SECURE_IOT_GATEWAY_STORE_MAX_PENDING: "many",
    SECURE_IOT_GATEWAY_BACKEND_URI: "http://x",
  });
  const expected = [
    /^environment: SECURE_IOT_GATEWAY_BACKEND_URI: unknown setting, did you mean SECURE_IOT_GATEWAY_BACKEND_URL\?$/,
    /^gateway.toml: line 3: broker.client_id: must be 16 to 128 letters.*, not "short"$/,
    /^gateway.toml: line 4: broker.port: must be a whole number from 1 to 65535, not 0$/,
    /^gateway.toml: line 6: backend.url: must be an http:\/\/ or https:\/\/ URL/,
    /^gateway.toml: line 7: backend.timeout: must be a duration from "100ms" to "10m".*, not "10 s"$/,
    /^gateway.toml: line 8: backend.nonsense: unknown setting, allowed here: url, path, ca,/,
    /^environment: SECURE_IOT_GATEWAY_STORE_MAX_PENDING: must be a whole number/,
    /^gateway.toml: line 10: log.level: must be one of "debug", "info"/,
    /^gateway.toml: line 11: other: unknown setting, allowed here: broker, backend,/,
  ];
  for (const pattern of expected) {
    assert.ok(faults.some((fault) => pattern.test(fault)), `${pattern} in ${faults.join("\n")}`);
  }
  assert.equal(faults.length, expected.length);
});

Deno.test("a value of another type, or outside of its range, is a fault wherever it stands", () => {
  const id = 'client_id = "secure-iot-gateway-0123456789abcdef"';
  const faulty: readonly (readonly [toml: string, fault: RegExp])[] = [
    ["[broker]\nclient_id = 1", /broker.client_id: must be 16 to 128/],
    ["[broker]", /broker.client_id: must be 16 to 128/],
    [`[broker]\n${id}\nhost = ""`, /broker.host: must be a DNS name or an IP address, not ""/],
    [`[broker]\n${id}\nport = 1.5`, /broker.port: must be a whole number/],
    [`[broker]\n${id}\nport = "1"`, /broker.port: must be a whole number/],
    [`[broker]\n${id}\nport = nan`, /broker.port: must be a whole number/],
    [`[broker]\n${id}\nport = 65536`, /broker.port: must be a whole number/],
    [`[broker]\n${id}\nkeepalive = "4s"`, /broker.keepalive: must be a duration from "5s"/],
    [`[broker]\n${id}\nkeepalive = "6m"`, /broker.keepalive: must be a duration from "5s"/],
    [
      `[broker]\n${id}\n[backend]\nca = false`,
      /backend.ca: must be a path, without a blank at its end, or empty/,
    ],
    [`[broker]\n${id}\n[backend]\nurl = "http://u@x"`, /backend.url: must be an http/],
    [`[broker]\n${id}\n[backend]\nurl = "http://x/#q"`, /backend.url: must be an http/],
    [`[broker]\n${id}\n[backend]\npath = "in"`, /backend.path: must begin with \//],
    [`[broker]\n${id}\n[backend]\npath = "/{id}"`, /backend.path: must begin with \//],
    [`[broker]\n${id}\n[backend]\npath = "/a b"`, /backend.path: must begin with \//],
    [`[broker]\n${id}\n[backend]\npath = "/../x"`, /backend.path: must begin with \//],
    [`[broker]\n${id}\n[commands]\ncallback = "told"`, /commands.callback: must begin with \//],
    [`[broker]\n${id}\n[commands]\ncallback = "/{state}"`, /{message_id}; or be empty$/],
    [`[broker]\n${id}\n[commands]\ncallback = "/told#x"`, /commands.callback: must begin with \//],
    [`[broker]\n${id}\n[backend]\nproxy = "http://x"`, /backend.proxy: must be http:/],
    [`[broker]\n${id}\n[backend]\nproxy = "https://x:1"`, /backend.proxy: must be http:/],
    [`[broker]\n${id}\n[backend]\nkey = "k"`, /backend.certificate, backend.key: need each/],
    [
      `[broker]\n${id}\n[backend]\nkey = "k"\ncertificate = "c"`,
      /backend.certificate: needs a backend.url with https/,
    ],
    [`[broker]\n${id}\n[checks]\nrate_limit_per_second = inf`, /second: must be a number from 0/],
    [`[broker]\n${id}\n[log]\naccepted = 1`, /log.accepted: must be true or false/],
    [`log = 1\n[broker]\n${id}`, /^gateway.toml: line 1: log: must be a section, \[log\]$/],
    [
      `log = 2026-01-01\n[broker]\n${id}`,
      /^gateway.toml: line 1: log: must be a section, \[log\]$/,
    ],
    [`[[log]]\n[broker]\n${id}`, /^gateway.toml: line 1: log: must be a section, \[log\]$/],
    [`[broker]\n${id}\n__proto__ = 1`, /broker.__proto__: unknown setting/],
    [`[broker]\n${id}\n[constructor]`, /constructor: unknown setting/],
  ];
  for (const [toml, fault] of faulty) {
    const faults = faultsOf(toml);
    assert.equal(faults.length, 1, `${toml}\n${faults.join("\n")}`);
    assert.match(faults[0]!, fault, toml);
  }
  assert.deepEqual(faultsOf(`[broker]\n${id}\nkeepalive = "300s"\nport = 65535`), []);
});

Deno.test("a URL, a host, a path and a port have one rule, and no library is lenient", () => {
  const id = 'client_id = "secure-iot-gateway-0123456789abcdef"';
  const backend = (url: string) => faultsOf(`[broker]\n${id}\n[backend]\nurl = ${url}`);
  for (
    const url of [
      ...["http://127.0.0.1:5000 ", " http://x", "http://x/a b", "http://x/{id}", "http://x#f"],
      ...["http://x:0", "http:x", "http:///x", "http://x\\y", "http://", "//x", "http://u:p@x"],
      ...["http://x/\t", "http://x\n"],
    ]
  ) {
    assert.match(backend(JSON.stringify(url))[0] ?? "", /backend.url: must be/, url);
  }
  for (const url of ["http://x", "https://x.example:8443/a/b/", "HTTP://[::1]:1", "http://x/%7B"]) {
    assert.deepEqual(backend(JSON.stringify(url)), [], url);
  }
  for (const host of ["a b", " a", "a:1", "http://a", "::1%lo", "1.2.3", "a..b", "[::1]"]) {
    for (const section of ["broker", "devices", "api"]) {
      const toml = section === "broker" ? "[broker]" : `[broker]\n${id}\n[${section}]`;
      const text = `${toml}\n${section === "broker" ? id : ""}\nhost = "${host}"`;
      assert.match(faultsOf(text)[0] ?? "", /host: must be a DNS name/, host);
    }
  }
  for (const path of ["", "a ", " a", "a\\n", "a\\u0000b"]) {
    const text = `[broker]\n${id}\nca = "${path}"`;
    assert.match(faultsOf(text)[0] ?? "", /broker.ca: must be a path/, path);
  }
});

Deno.test("a misspelt setting is named with the one that was meant", () => {
  const id = 'client_id = "secure-iot-gateway-0123456789abcdef"';
  for (
    const [toml, meant] of [
      [`[broker]\n${id}\nhosst = "a"`, "line 3: broker.hosst: unknown setting, did you mean host?"],
      [
        `[broker]\n${id}\nurl = "a"`,
        "line 3: broker.url: unknown setting, did you mean backend.url?",
      ],
      [`[broker]\n${id}\n[bakend]`, "line 3: bakend: unknown setting, did you mean backend?"],
      [`[broker]\n${id}\n[backend]\n"retryFirst" = 1`, "did you mean retry_first?"],
    ] as const
  ) {
    const faults = faultsOf(toml);
    assert.equal(faults.length, 1);
    assert.ok(faults[0]?.endsWith(meant), faults.join("\n"));
  }
});

Deno.test("what a container platform sets after a service of this name is ignored, and named", () => {
  const toml = renderGatewayToml(VALUES);
  const platform = {
    SECURE_IOT_GATEWAY_SERVICE_HOST: "10.0.0.1",
    SECURE_IOT_GATEWAY_SERVICE_PORT: "8443",
    SECURE_IOT_GATEWAY_SERVICE_PORT_API: "8443",
    SECURE_IOT_GATEWAY_PORT: "tcp://10.0.0.1:8443",
    SECURE_IOT_GATEWAY_PORT_8443_TCP: "tcp://10.0.0.1:8443",
    SECURE_IOT_GATEWAY_PORT_8443_TCP_PROTO: "tcp",
    SECURE_IOT_GATEWAY_PORT_8443_TCP_PORT: "8443",
    SECURE_IOT_GATEWAY_PORT_8443_TCP_ADDR: "10.0.0.1",
    SECURE_IOT_GATEWAY_API_SERVICE_HOST: "10.0.0.2",
    SECURE_IOT_GATEWAY_API_PORT: "tcp://10.0.0.2:8443",
  };
  const result = read(toml, platform);
  assert.ok(result.ok);
  assert.equal(result.config.api.port, VALUES.apiPort);
  assert.deepEqual(result.ignored, Object.keys(platform));
  // What is meant is checked as strictly as before.
  for (const variable of [{ SECURE_IOT_GATEWAY_API_PORT: "x" }, { SECURE_IOT_GATEWAY_PORT: "1" }]) {
    assert.equal(faultsOf(toml, variable).length, 1);
  }
});

Deno.test("a file that is no TOML is refused with the line", () => {
  assert.match(faultsOf("[log]\nlevel = \n")[0]!, /^gateway.toml: line 2: /);
});

Deno.test("the usual slips in the file are named in the writer's words", () => {
  const cases: readonly (readonly [toml: string, fault: string])[] = [
    [
      '[log]\nlevel = "info"\n\n[log]\nformat = "json"',
      "line 4: [log] is on line 1 already: write its settings there",
    ],
    ['[log]\nlevel = "info"\nlevel = "debug"', "line 3: level is set already"],
    ["[log]\nlevel = http://a", "line 2: a text needs quotes"],
    ["[log]\nlevel = info", "line 2: a text needs quotes"],
  ];
  for (const [toml, fault] of cases) assert.deepEqual(faultsOf(toml), [`gateway.toml: ${fault}`]);
});

Deno.test("two settings that do not go together are a fault", () => {
  const toml = renderGatewayToml(VALUES).replace(/# retry_first = .*/, 'retry_first = "1h"');
  assert.match(faultsOf(toml)[0]!, /backend.retry_first: must not be longer/);
  const both = faultsOf(toml, { SECURE_IOT_GATEWAY_BACKEND_URI: "http://x" });
  assert.match(both[0]!, /BACKEND_URI: unknown setting/);
  assert.match(both[1]!, /backend.retry_first: must not be longer/);
});
