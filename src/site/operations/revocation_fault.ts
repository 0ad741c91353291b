/** Why the broker does not use the newest lists, as values; the command line makes the sentences. */

/** Why lists that the store has are not used. */
export type ListsRefusal =
  | "not_readable"
  /** No authority that is trusted here has signed them. */
  | "not_signed"
  /** They are signed, and something in them is not as it has to be. */
  | "not_sound"
  /** Those in place have a higher number. */
  | "older";

/** `reason` is what the system, OpenSSL or the broker says, or which file cannot be used. */
export type RevocationFault =
  /** Nothing listens at its address, so it reads the lists when it starts; `hint` is what to do. */
  | { readonly kind: "broker_not_running"; readonly reason: string; readonly hint: string }
  | { readonly kind: "broker_not_told"; readonly reason: string; readonly hint: string }
  /** Another command is at work. */
  | { readonly kind: "site_locked"; readonly reason: string; readonly hint: string }
  | BrokerFilesFault
  /** Nothing was changed at the broker: a reload would have made it worse. */
  | { readonly kind: "lists_unusable"; readonly faults: readonly BrokerFileFault[] }
  /** The authority cannot sign the revocation list. */
  | { readonly kind: "list_not_signed"; readonly reason: string }
  | { readonly kind: "lists_not_written"; readonly reason: string }
  /** Other machines put newer ones into the store again and again. */
  | { readonly kind: "lists_overtaken" }
  /** What the store has is not used here. */
  | { readonly kind: "lists_refused"; readonly because: ListsRefusal }
  /** There is no certificate with which this broker can be tried. */
  | { readonly kind: "probe_missing"; readonly path: string }
  /** These brokers of other gateways, which are at work, do not use the lists of this number. */
  | {
    readonly kind: "nodes_behind";
    readonly listNumber: number;
    readonly nodes: readonly string[];
  }
  /** A certificate on the new list is accepted. */
  | { readonly kind: "list_ignored" }
  /** It cannot be seen whether the broker uses the new list. */
  | { readonly kind: "list_unconfirmed"; readonly reason: string }
  /** The authority cannot make a certificate with which to try what the broker allows. */
  | { readonly kind: "probe_not_made"; readonly reason: string }
  /** The broker does not use the lines that were added to its access lists. */
  | { readonly kind: "receipt_not_received" }
  /** It cannot be tried what the broker allows. */
  | { readonly kind: "access_unconfirmed"; readonly reason: string }
  /** One device may publish as another; `stopped` says whether the broker could be stopped. */
  | { readonly kind: "broker_open"; readonly stopped: boolean }
  /** No device receives on its own topics. */
  | { readonly kind: "devices_cut_off" }
  | {
    readonly kind: "device_not_denied";
    readonly deviceId: string;
    readonly can: "receive" | "publish";
  }
  | { readonly kind: "connection_not_ended"; readonly deviceId: string };

/** The files with which the broker is reached, or which it reads. */
export type BrokerFilesFault =
  | { readonly kind: "credential_unusable"; readonly reason: string }
  /** Before anything was done. */
  | { readonly kind: "broker_files_unreadable"; readonly reason: string }
  /** On the way. */
  | { readonly kind: "broker_files_refused"; readonly reason: string };

/** What a reload would stumble over in a file of the broker. */
export type BrokerFileFault =
  | { readonly kind: "line_missing"; readonly path: string; readonly line: string }
  | { readonly kind: "list_unreadable"; readonly path: string; readonly reason: string }
  | { readonly kind: "credential_unusable"; readonly reason: string };
