/**
 * What may be in the columns that gateways read of each other.
 *
 * Any program with the role's rights may write there: the server refuses what no gateway can use, so
 * that a slip is its writer's error. The columns of the contract's tables take anything, as on SQLite;
 * who reads them checks.
 */

/** Most bytes of a payload, a body or an answer; each has a narrower limit where it is made. */
export const CONTENT_MAX_BYTES = 1_048_576;

/** Longest time that a lease is believed; that of the settings is shorter. */
const LEASE_MAX = "1 hour";

const NUMBER_MAX = Number.MAX_SAFE_INTEGER;

/** The domains, before the tables. */
export const CREATE_DOMAINS = `
  CREATE DOMAIN whole_number AS bigint CHECK (VALUE BETWEEN -${NUMBER_MAX} AND ${NUMBER_MAX});
  CREATE DOMAIN node_name AS text COLLATE "C" CHECK (VALUE ~ '^[A-Za-z0-9._-]{1,40}$');
  CREATE DOMAIN device_name AS text COLLATE "C" CHECK (VALUE ~ '^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$');
  CREATE DOMAIN content AS bytea CHECK (octet_length(VALUE) <= ${CONTENT_MAX_BYTES});
`;

/** A lease ends at a time that can be reckoned with. */
export const LEASE_CHECK = `isfinite(until) AND isfinite(renewed)
  AND until <= renewed + interval '${LEASE_MAX}'`;
