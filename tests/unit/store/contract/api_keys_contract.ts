import assert from "node:assert/strict";
import { API_KEY_ROLES } from "../../../../src/store/api_keys.ts";
import type { Contract } from "./contract.ts";

const DIGEST = new Uint8Array(32).fill(1);
const OTHER = new Uint8Array(32).fill(2);

/** What holds for the API's keys. */
export const API_KEYS_CONTRACT: Contract = {
  "a key is listed with its devices, and a name is taken once": async (open) => {
    const { apiKeys } = await open();
    const scoped = {
      name: "scoped",
      createdAt: 5,
      role: "commands" as const,
      deviceIds: ["a", "b"],
    };
    assert.equal(await apiKeys.add(DIGEST, scoped), true);
    assert.equal(await apiKeys.add(OTHER, scoped), false);
    await apiKeys.add(OTHER, {
      name: "every",
      createdAt: 6,
      role: "commands" as const,
      deviceIds: undefined,
    });
    const listed = await apiKeys.list();
    assert.deepEqual(listed.map(({ name, deviceIds }) => [name, deviceIds]), [
      ["every", undefined],
      ["scoped", ["a", "b"]],
    ]);
    assert.deepEqual(new Uint8Array(listed[1]!.digest), DIGEST);
    assert.deepEqual([await apiKeys.has(DIGEST), await apiKeys.has(new Uint8Array(32))], [
      true,
      false,
    ]);
  },

  "a key has the role that it was added with, and a first one is for commands": async (open) => {
    const { apiKeys } = await open();
    await apiKeys.importFirst(DIGEST, 5_000);
    for (const [i, role] of API_KEY_ROLES.entries()) {
      const key = { name: role, createdAt: 5, role, deviceIds: undefined };
      await apiKeys.add(new Uint8Array(32).fill(10 + i), key);
    }
    const roles = (await apiKeys.current()).map(({ name, role }) => [name, role]);
    assert.deepEqual(roles, [
      ["backend", "commands"],
      ["commands", "commands"],
      ["operate", "operate"],
      ["view", "view"],
    ]);
  },

  "what another program adds or removes counts at once": async (open) => {
    const { apiKeys } = await open("gateway");
    const { apiKeys: elsewhere } = await open();
    assert.deepEqual(await apiKeys.current(), []);
    await elsewhere.add(DIGEST, {
      name: "backend",
      createdAt: 5,
      role: "commands" as const,
      deviceIds: undefined,
    });
    assert.deepEqual((await apiKeys.current()).map(({ name }) => name), ["backend"]);
    assert.equal(await elsewhere.remove("backend"), true);
    assert.equal(await elsewhere.remove("backend"), false);
    assert.deepEqual(await apiKeys.current(), []);
  },

  "a first key is imported into a store that never had one, and never again": async (open) => {
    const { apiKeys } = await open();
    assert.equal(await apiKeys.importFirst(DIGEST, 5_000), true);
    const [{ name, createdAt } = { name: "", createdAt: 0 }] = await apiKeys.current();
    assert.deepEqual([name, createdAt], ["backend", 5]);
    await apiKeys.remove("backend");
    assert.equal(await apiKeys.importFirst(DIGEST, 5_000), false);
  },
};
