/** Which roles the column of an API key takes, as SQL that every engine reads. */

import { API_KEY_ROLES } from "./api_keys.ts";

/** A key whose role nobody knows would have to be refused by everything that reads it. */
export const ROLE_CHECK: string = `role IN (${
  API_KEY_ROLES.map((role) => `'${role}'`).join(", ")
})`;
