/** What the system refuses, as SQLite and Deno say it, in an operator's words: one table. */

/** What is the matter, and what to do. */
interface SystemFault {
  readonly reason: string;
  readonly hint: string;
}

interface Row extends SystemFault {
  /** As `error.code` has it, or SQLite's result code without its extension. */
  readonly codes: readonly (string | number)[];
  /** In messages that come without a code. */
  readonly says?: RegExp;
}

const ROWS: readonly Row[] = [
  {
    codes: ["EACCES", "EPERM", 3, 23],
    says: /permission denied/i,
    reason: "Permission denied",
    hint: "Run it as the owner of the site folder: sudo -u secure-iot-gateway secure-iot-gateway …",
  },
  {
    codes: ["EROFS", 8],
    says: /read-?only (database|file system)/i,
    reason: "It cannot be written to",
    hint: "Run it as the owner of the site folder, and see whether the disk is mounted read-only",
  },
  {
    codes: ["ENOSPC", "EDQUOT", 13],
    says: /disk is full|no space left|quota exceeded/i,
    reason: "The disk is full",
    hint: "Free disk space (see df -h), then run the same command again",
  },
  {
    codes: ["EBUSY", "ETXTBSY", "EAGAIN", 5, 6],
    says: /database (table )?is locked/,
    reason: "Another program keeps it locked",
    hint: "Wait until that one is done, then run it again; fuser -v FILE names it",
  },
  {
    codes: ["EIO", 10],
    says: /disk I\/O error/,
    reason: "The disk does not work",
    hint: "Look at the system's log (dmesg), and at whether the disk is full",
  },
  {
    codes: [14],
    says: /unable to open database file/,
    reason: "The database cannot be opened",
    hint: "Run it as the owner of the site folder, and see whether the folder is there",
  },
  {
    codes: [11, 26],
    says: /malformed|not a database/,
    reason: "The database is damaged",
    hint: "Stop the gateway, keep the file, and bring back the newest backup",
  },
  {
    codes: ["EMFILE", "ENFILE"],
    reason: "There are too many open files",
    hint: "Raise the limit (ulimit -n, LimitNOFILE)",
  },
  {
    codes: ["ENOENT", "ENOTDIR"],
    reason: "There is no such file",
    hint: "Bring it back, or see what is missing: secure-iot-gateway doctor",
  },
  {
    codes: [],
    says: /^Requires \w+ access to/,
    reason: "It is part of the system, not a regular file or folder",
    hint: "Name a file or folder outside /dev, /proc and /sys",
  },
  {
    codes: ["EISDIR", "EEXIST", "ENOTEMPTY", "ELOOP", "ENAMETOOLONG", "EXDEV", "EINVAL"],
    reason: "The file is not what it should be",
    hint: "Look at what is there, and move it away",
  },
];

/** What the system refused, and where; undefined for an error that is not the system's. */
export function systemFault(error: unknown): SystemFault | undefined {
  if (!(error instanceof Error)) return undefined;
  const row = ROWS.find((row) => fits(row, error));
  if (row === undefined) return systemFault(error.cause);
  const where = /(?:'|access to ")([^'"]+)['"]/.exec(error.message)?.[1];
  return {
    reason: `${row.reason}: ${where === undefined ? error.message : `"${where}"`}`,
    hint: row.hint,
  };
}

function fits({ codes, says }: Row, error: Error): boolean {
  const { code, errcode } = error as { code?: unknown; errcode?: unknown };
  if (typeof errcode === "number") return codes.includes(errcode & 0xff);
  if (code === "ERR_SQLITE_ERROR") return says?.test(error.message) ?? false;
  if (typeof code === "string") return codes.includes(code);
  return says?.test(error.message) ?? false;
}
