/** A neutral backend: nginx, which answers every POST with 200 and a small JSON body. */

import { ChildProcess } from "../../src/demo/sandbox/child_process.ts";
import { freePorts } from "../support/free_ports.ts";
import { poll } from "../../src/time/poll.ts";
import type { BenchBackend, ReceivedReading } from "./bench_backend.ts";

/** Where Debian puts it. */
export const NGINX = "/usr/sbin/nginx";

/** One running nginx. */
export class NginxBackend implements BenchBackend {
  readonly port: number;
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #logPath: string;
  #asked = 0;

  private constructor(port: number, child: ChildProcess, logPath: string) {
    this.port = port;
    this.pid = child.pid;
    this.#child = child;
    this.#logPath = logPath;
  }

  /** Starts nginx with its files in `folder`, on `port` if it is given; it begins to count at 0. */
  static async start(folder: string, options: { port?: number } = {}): Promise<NginxBackend> {
    const port = options.port ?? freePorts(1)[0]!;
    await Deno.mkdir(folder, { recursive: true });
    const configuration = `${folder}/nginx.conf`;
    const logPath = `${folder}/access.log`;
    await Deno.writeTextFile(logPath, "");
    await Deno.writeTextFile(configuration, configurationText(folder, { port, logPath }));
    const child = new ChildProcess({ path: NGINX, args: ["-c", configuration] });
    const backend = new NginxBackend(port, child, logPath);
    await poll("nginx", async () => {
      if (!child.running) throw new Error(`nginx ended at once: ${child.stderr}`);
      return await backend.readings().then(() => true, () => false);
    });
    return backend;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Requests so far, less those of this method: each has one reading. */
  async readings(): Promise<number> {
    const response = await fetch(`${this.url}/count`);
    const [, , , requests] = /^ (\d+) (\d+) (\d+)/m.exec(await response.text()) ?? [];
    return Number(requests) - ++this.#asked;
  }

  async received(): Promise<ReceivedReading[]> {
    const count = await this.readings();
    return await poll("nginx's log", async () => {
      const lines = (await Deno.readTextFile(this.#logPath)).split("\n").slice(0, -1);
      return lines.length >= count && lines.map(readLine);
    });
  }

  async stop(): Promise<void> {
    await this.#child.stop();
  }
}

function readLine(line: string): ReceivedReading {
  const [seconds = "", messageId = ""] = line.split(" ");
  return { atMs: Math.round(Number(seconds) * 1000), messageId };
}

function configurationText(
  folder: string,
  { port, logPath }: { port: number; logPath: string },
): string {
  return `
daemon off;
master_process off; # one process, so that killing it ends it
pid ${folder}/nginx.pid;
error_log ${folder}/error.log warn;
worker_rlimit_nofile 65536;
events { worker_connections 60000; } # Node-RED opens one for each message under way
http {
  log_format received '$msec $http_idempotency_key';
  access_log ${logPath} received buffer=64k flush=100ms;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  keepalive_requests 100000000;
  keepalive_timeout 60s;
  server {
    listen 127.0.0.1:${port};
    location = /count { stub_status; access_log off; }
    location / {
      default_type application/json;
      return 200 '{"status":"received"}';
    }
  }
}
`;
}
