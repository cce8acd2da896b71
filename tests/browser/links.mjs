// Slow links: network namespaces whose only way to the server carries so many bits per second.

import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);

/** How long the queue of a link may become before it drops: that of a usual home router. */
const QUEUE = "300ms";

async function ip(...words) {
  await run("ip", words);
}

/** The server's namespace with one more for each viewer, each behind a link of its own. */
export class Links {
  /** Where the server and the publisher are. */
  server = `onair-${process.pid}`;
  #viewers = [];

  async start() {
    await ip("netns", "add", this.server);
    await ip("-n", this.server, "link", "set", "lo", "up");
  }

  /** Adds a viewer's namespace; returns its name, and the server's address as seen from there. */
  async viewer(kbit) {
    const number = this.#viewers.length + 1;
    const name = `${this.server}-${number}`;
    this.#viewers.push(name);
    const [near, far] = [`oa${number}s`, `oa${number}v`];
    await ip("netns", "add", name);
    await ip("-n", this.server, "link", "add", near, "type", "veth", "peer", "name", far, "netns", name);
    await ip("-n", this.server, "address", "add", `10.77.${number}.1/24`, "dev", near);
    await ip("-n", name, "address", "add", `10.77.${number}.2/24`, "dev", far);
    await ip("-n", this.server, "link", "set", near, "up");
    for (const device of ["lo", far]) await ip("-n", name, "link", "set", device, "up");
    const shape = ["rate", `${kbit}kbit`, "burst", "4kb", "latency", QUEUE];
    await run("tc", ["-n", this.server, "qdisc", "add", "dev", near, "root", "tbf", ...shape]);
    return { name, server: `10.77.${number}.1` };
  }

  async remove() {
    for (const name of [...this.#viewers, this.server]) await ip("netns", "del", name).catch(() => undefined);
  }
}
