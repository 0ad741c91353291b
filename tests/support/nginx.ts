/** nginx with a configuration of the test's own, in front of a backend or as one. */

import { NGINX } from "../bench/nginx_backend.ts";
import { poll } from "../../src/time/poll.ts";
import type { ProgramCommand } from "../../src/demo/sandbox/child_process.ts";

/** One answered request, as nginx has logged it. */
interface LoggedRequest {
  readonly connection: string;
  /** Requests on this connection so far. */
  readonly requests: number;
  readonly status: number;
}

/** False where it is not installed. */
export const HAS_NGINX: boolean = isFile(NGINX);

/** Writes a configuration with one server into a folder; how to run nginx with it. */
export async function nginxCommand(folder: string, server: string): Promise<ProgramCommand> {
  await Deno.mkdir(`${folder}/nginx`, { recursive: true });
  const path = `${folder}/nginx/nginx.conf`;
  await Deno.writeTextFile(path, configurationText(`${folder}/nginx`, server));
  return { path: NGINX, args: ["-c", path] };
}

/** Every request, once there are `count`; nginx writes them down after it has answered. */
export async function loggedRequests(folder: string, count: number): Promise<LoggedRequest[]> {
  return await poll("nginx's log", async () => {
    const text = await Deno.readTextFile(`${folder}/nginx/access.log`);
    const lines = text.split("\n").slice(0, -1);
    return lines.length >= count && lines.map(readLine);
  });
}

function readLine(line: string): LoggedRequest {
  const [connection = "", requests, status] = line.split(" ");
  return { connection, requests: Number(requests), status: Number(status) };
}

function configurationText(folder: string, server: string): string {
  return `
daemon off;
master_process off; # one process, so that killing it ends it
pid ${folder}/nginx.pid;
error_log stderr;
events {}
http {
  log_format short '$connection $connection_requests $status';
  access_log ${folder}/access.log short;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  server {
${server}
  }
}
`;
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
