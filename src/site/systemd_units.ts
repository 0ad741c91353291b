/** The files by which systemd runs a site, rendered from the templates. Pure. */

import unitTemplate from "./gateway.service.template" with { type: "text" };
import listsTemplate from "./lists.service.template" with { type: "text" };
import dropInTemplate from "./mosquitto_drop_in.template" with { type: "text" };
import usersTemplate from "./sysusers.template" with { type: "text" };

/** A file for the system. */
export interface ServiceFile {
  /** From the root of the file system. */
  readonly path: string;
  readonly text: string;
}

/** The account that runs the gateway and owns the site. */
export const SERVICE_USER = "secure-iot-gateway";

/** A path that means the same in a unit as elsewhere: no blank, no quote, no `%` specifier. */
const PLAIN_PATH = /^(\/[A-Za-z0-9._+@-]+)+$/;

/** True if `path` is absolute and needs no quoting in a unit. */
export function isPlainPath(path: string): boolean {
  return PLAIN_PATH.test(path) && !path.split("/").includes("..");
}

/** The units, the drop-in for mosquitto.service and the user's entry. */
export function renderServiceFiles(
  { program, site }: { readonly program: string; readonly site: string },
): ServiceFile[] {
  const values = { program, site, user: SERVICE_USER };
  return [
    {
      path: "/etc/systemd/system/secure-iot-gateway.service",
      text: fill(unitTemplate, values),
    },
    {
      path: "/etc/systemd/system/mosquitto.service.d/secure-iot-gateway.conf",
      text: fill(dropInTemplate, values),
    },
    {
      path: "/etc/systemd/system/secure-iot-gateway-lists.service",
      text: fill(listsTemplate, values),
    },
    { path: "/etc/sysusers.d/secure-iot-gateway.conf", text: fill(usersTemplate, values) },
  ];
}

function fill(template: string, values: Readonly<Record<string, string>>): string {
  return template.replaceAll(/\{\{(\w+)\}\}/g, (_place, name: string) => {
    const value = values[name];
    if (value === undefined) throw new Error(`Nothing is named "${name}" in the unit`);
    return value;
  });
}
