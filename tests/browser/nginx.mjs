// Debian's nginx with the configuration that operators get, deploy/nginx/onair.conf: only its addresses are changed.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { eventually } from "./support.mjs";

const EXAMPLE = join(import.meta.dirname, "../../deploy/nginx/onair.conf");
const PATH = `${process.env.PATH}:/usr/sbin`;

/** Runs nginx in front of a server. */
export class Nginx {
  #child;
  #dir;
  /** Such as `http://127.0.0.1:40123`. */
  url;

  async start(server) {
    this.#dir = await mkdtemp(join(tmpdir(), "onair-nginx-"));
    const address = `127.0.0.1:${await freePort()}`;
    let example = await readFile(EXAMPLE, "utf8");
    const changes = {
      "listen 80;": `listen ${address};`,
      "server 127.0.0.1:8080;": `server ${new URL(server.url).host};`,
      "/var/cache/nginx/onair": `${this.#dir}/cache`,
    };
    for (const [from, to] of Object.entries(changes)) {
      assert.equal(example.split(from).length, 2, `${from} stands in the example once`);
      example = example.replace(from, to);
    }
    await writeFile(join(this.#dir, "nginx.conf"), this.#main(example));
    this.#child = spawn("nginx", ["-p", this.#dir, "-e", join(this.#dir, "errors"), "-c", join(this.#dir, "nginx.conf")], {
      env: { ...process.env, PATH },
      stdio: "ignore",
    });
    await once(this.#child, "spawn");
    this.url = `http://${address}`;
    await eventually("nginx answers", async (saw) => {
      saw(await this.#read("errors"));
      return (await fetch(`${this.url}/healthz`).catch(() => undefined))?.ok;
    });
  }

  /** What stands around the example: a process of ours, its directories, and a log of what was asked of the server. */
  #main(example) {
    const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    return `
      daemon off;
      master_process off;
      pid ${this.#dir}/pid;
      events { worker_connections 1024; }
      http {
        ${temporary.map((name) => `${name}_temp_path ${this.#dir}/${name};`).join("\n")}
        log_format upstream '$upstream_addr $status $request_uri';
        access_log ${this.#dir}/requests upstream;
        ${example}
      }`;
  }

  /** Returns the requests of paths that begin so: what it asked the server for, and what it had itself. */
  async requests(prefix) {
    const requests = { asked: [], had: [] };
    for (const line of (await this.#read("requests")).split("\n")) {
      const [upstream, status, path] = line.split(" ");
      if (path?.startsWith(prefix)) requests[upstream === "-" ? "had" : "asked"].push({ status: Number(status), path });
    }
    return requests;
  }

  async #read(name) {
    return readFile(join(this.#dir, name), "utf8").catch(() => "");
  }

  async stop() {
    if (this.#child && this.#child.exitCode === null && this.#child.signalCode === null) {
      this.#child.kill("SIGTERM");
      await once(this.#child, "exit");
    }
    if (this.#dir) await rm(this.#dir, { recursive: true, force: true });
  }
}

async function freePort() {
  const listener = createServer().listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address();
  listener.close();
  await once(listener, "close");
  return port;
}
