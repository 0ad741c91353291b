/** The page's files, and what goes with everything below /ui. */

import assert from "node:assert/strict";
import { gunzipSync } from "node:zlib";
import { ASSETS } from "../../../../src/gateway/page/assets.ts";
import { CONTENT_SECURITY_POLICY } from "../../../../src/gateway/page/page_headers.ts";
import { withPageApi } from "../../../support/page_api.ts";

Deno.test("the page and its files are for all, are asked for again each time, and are never sent twice", async () => {
  await withPageApi([], async (api) => {
    const page = await api.ask("/ui");
    assert.equal(page.headers.get("content-type"), "text/html; charset=utf-8");
    assert.equal(await page.text(), ASSETS["index.html"]![0]);
    for (const [name, [text, type]] of Object.entries(ASSETS)) {
      const file = await api.ask(`/ui/assets/${name}`);
      assert.equal(await file.text(), text);
      assert.equal(file.headers.get("content-type"), type);
      assert.equal(file.headers.get("cache-control"), "no-cache");
      const headers = { "if-none-match": file.headers.get("etag")! };
      assert.equal((await api.ask(`/ui/assets/${name}`, { headers })).status, 304);
    }
    const redirect = await api.ask("/ui/");
    assert.deepEqual([redirect.status, redirect.headers.get("location")], [308, "/ui"]);
    for (const name of ["", "none", "__proto__", "constructor", "..%2f..%2fapi.key", "%2e%2e/x"]) {
      assert.equal((await api.ask(`/ui/assets/${name}`)).status, 404, name);
    }
    assert.equal((await api.ask("/ui", { method: "POST", body: {} })).status, 405);
  });
});

Deno.test("a browser that takes gzip gets it, under a tag of its own", async () => {
  await withPageApi([], async (api) => {
    for (const taken of ["gzip", "br, gzip", "deflate, GZIP;q=0.5"]) {
      const headers = { "accept-encoding": taken };
      const packed = await api.ask("/ui", { headers });
      assert.equal(packed.headers.get("content-encoding"), "gzip", taken);
      assert.equal(gunzipSync(await packed.bytes()).toString(), ASSETS["index.html"]![0]);
      const etag = packed.headers.get("etag")!;
      const again = await api.ask("/ui", { headers: { ...headers, "if-none-match": etag } });
      assert.equal(again.status, 304);
      assert.equal((await api.ask("/ui", { headers: { "if-none-match": etag } })).status, 200);
    }
    for (const taken of ["", "br", "gzip;q=0", "gzip; q=0.000", "x-gzip"]) {
      const plain = await api.ask("/ui", { headers: { "accept-encoding": taken } });
      assert.equal(plain.headers.get("content-encoding"), null, taken);
      assert.equal(plain.headers.get("vary"), "accept-encoding");
      assert.equal(await plain.text(), ASSETS["index.html"]![0]);
    }
  });
});

Deno.test("everything below /ui has the policy and the other fields, errors too", async () => {
  assert.equal(
    CONTENT_SECURITY_POLICY,
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
      "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  );
  await withPageApi([], async (api) => {
    const key = await api.addKey("ann", "view");
    for (
      const path of ["/ui", "/ui/", "/ui/none", "/ui/api/flow", "/ui/api/none", "/ui/assets/x"]
    ) {
      for (const request of [{}, { key }]) {
        const { headers } = await api.ask(path, request);
        assert.equal(headers.get("content-security-policy"), CONTENT_SECURITY_POLICY, path);
        assert.equal(headers.get("x-content-type-options"), "nosniff");
        assert.equal(headers.get("referrer-policy"), "no-referrer");
        assert.equal(headers.get("cross-origin-opener-policy"), "same-origin");
        const isPage = path === "/ui";
        assert.equal(headers.get("cache-control"), isPage ? "no-cache" : "no-store", path);
      }
    }
    const { headers } = await api.ask("/uix");
    assert.equal(headers.get("content-security-policy"), null);
  });
});
