/** Which changes of the registry and the keys the audit takes note of: SQL that every engine reads. */

/** The columns with secrets of devices, beside their `device_id`: sealed, scrubbed and audited alike. */
export const SECRET_COLUMNS = [
  { table: "devices", column: "shared_secret" },
  { table: "device_secrets", column: "previous_secret" },
] as const;

/** A change that the audit takes note of. */
export interface AuditedChange {
  readonly on: string;
  /** As SQL: which rows; all if it is not given. */
  readonly when?: string;
  /** As SQL. */
  readonly event: string;
  /** As SQL. */
  readonly subject: string;
  /** As SQL; no secret. */
  readonly detail?: string;
}

/** What a change of a stored secret was, as SQL: it begins `$sealed$1$` and twelve digits, or not. */
function secretEvent(column: string): string {
  const sealed = (row: string) => `substr(${row}.${column}, 1, 8) = '$sealed$'`;
  return `CASE
      WHEN ${sealed("NEW")} AND NOT ${sealed("OLD")} THEN 'secret_sealed'
      WHEN ${sealed("OLD")} AND NOT ${sealed("NEW")} THEN 'secret_unsealed'
      WHEN ${sealed("NEW")} AND substr(NEW.${column}, 1, 23) <> substr(OLD.${column}, 1, 23)
        THEN 'secret_resealed'
      ELSE 'secret_changed' END`;
}

/** Every change of registry, secrets and keys; whatever program makes it. */
export const AUDITED_CHANGES: readonly AuditedChange[] = [
  { on: "INSERT ON devices", event: "'device_added'", subject: "NEW.device_id" },
  { on: "DELETE ON devices", event: "'device_removed'", subject: "OLD.device_id" },
  {
    on: "UPDATE OF device_id ON devices",
    when: "OLD.device_id <> NEW.device_id",
    event: "'device_renamed'",
    subject: "NEW.device_id",
    detail: "OLD.device_id",
  },
  ...SECRET_COLUMNS.map(({ table, column }): AuditedChange => ({
    on: `UPDATE OF ${column} ON ${table}`,
    when: `OLD.${column} <> NEW.${column}`,
    event: secretEvent(column),
    subject: "NEW.device_id",
  })),
  {
    on: "INSERT ON device_secrets", // also where it replaces a row
    event: "'secret_overlap_set'",
    subject: "NEW.device_id",
    detail: "'until ' || NEW.previous_until",
  },
  {
    on: "UPDATE OF previous_until ON device_secrets",
    when: "OLD.previous_until <> NEW.previous_until",
    event: "'secret_overlap_set'",
    subject: "NEW.device_id",
    detail: "'until ' || NEW.previous_until",
  },
  {
    on: "INSERT ON device_certificates",
    event: "'certificate_added'",
    subject: "NEW.device_id",
    detail: "NEW.serial",
  },
  {
    on: "UPDATE ON device_certificates",
    event: `CASE WHEN OLD.withdrawn_at IS NULL AND NEW.withdrawn_at IS NOT NULL
      THEN 'certificate_withdrawn' ELSE 'certificate_changed' END`,
    subject: "NEW.device_id",
    detail: "NEW.serial",
  },
  {
    on: "DELETE ON device_certificates",
    event: "'certificate_removed'",
    subject: "OLD.device_id",
    detail: "OLD.serial",
  },
  {
    on: "INSERT ON device_revocations",
    event: "'device_revoked'",
    subject: "NEW.device_id",
    detail: "NEW.reason",
  },
  {
    on: "UPDATE ON device_revocations",
    event: "'device_revoked'",
    subject: "NEW.device_id",
    detail: "NEW.reason",
  },
  { on: "DELETE ON device_revocations", event: "'revocation_ended'", subject: "OLD.device_id" },
  { on: "INSERT ON api_keys", event: "'api_key_added'", subject: "NEW.name" },
  { on: "UPDATE ON api_keys", event: "'api_key_changed'", subject: "NEW.name" },
  { on: "DELETE ON api_keys", event: "'api_key_removed'", subject: "OLD.name" },
  {
    on: "INSERT ON api_key_devices",
    event: "'api_key_device_added'",
    subject: "NEW.name",
    detail: "NEW.device_id",
  },
  {
    on: "DELETE ON api_key_devices",
    event: "'api_key_device_removed'",
    subject: "OLD.name",
    detail: "OLD.device_id",
  },
];
