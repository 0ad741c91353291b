/** The settings of a backend to which the gateway is nobody in particular. */
export const PLAIN_BACKEND = {
  path: "/device/{device_id}/data",
  callbackPath: undefined,
  ca: undefined,
  fields: [],
  pair: undefined,
  signingKeys: [],
  batch: undefined,
  proxy: undefined,
  hasTraceparent: false,
} as const;
