/** Each rejection code in words: what it says, and what it usually comes from. */

/** In the order of the checks; a code keeps its colour. */
export const CODES = {
  malformed: {
    says: "The message does not have the agreed form",
    usually: "the firmware writes a field in another way: the reason names what and where",
  },
  identity_mismatch: {
    says: "device_id in the message is not the id in the certificate",
    usually: "one device has the files of another, or a fixed id is in the firmware",
  },
  unknown_device: {
    says: "The device is not in the registry",
    usually: "it was removed, or was never added here",
  },
  device_revoked: {
    says: "The device is revoked, or its certificate is over",
    usually: "its time is over: rotate its certificate, or restore it",
  },
  invalid_signature: {
    says: "No secret of the device verifies the signature",
    usually: "it has another secret, or signs another text than it sends",
  },
  timestamp_out_of_range: {
    says: "The timestamp is too far from the gateway's clock",
    usually: "the device's clock is wrong; its receipt tells it the time",
  },
  replayed: {
    says: "The device has used this message_id before",
    usually: "the answer to the first copy was lost; or somebody plays back what was captured",
  },
  rate_limited: {
    says: "The device sends more than its rate allows",
    usually: "the device sends the same again without a pause",
  },
};

/** A rejection's sentence without what stands beside it anyway: `Replayed message`. */
export function withoutSubject(reason) {
  return reason.replace(/^Rejected message(?: from [^:]*)?: /, "");
}

/** The class of a code's colour. */
export function colorOf(code) {
  return `c${Object.keys(CODES).indexOf(code) + 1}`;
}
