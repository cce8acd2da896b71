// A server of our own, a browser, and the questions that tests ask of its pages.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, open, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";

import { chromium } from "playwright-core";

const ROOT = join(import.meta.dirname, "../..");
const PROGRAM = process.env.ONAIR_BIN ?? join(ROOT, "target/debug/onair");
const BROWSER = process.env.CHROMIUM_BIN ?? "/usr/bin/chromium";

/** How long anything may take that depends on media: software codecs on two cores. */
export const MEDIA_MS = 40_000;

/** Runs `onair serve` with directories of its own; `stop` and `start` again keep the port and the directories. */
export class Server {
  #child;
  #dir;
  #settings;
  #namespace;
  /** Such as `http://127.0.0.1:40123`. */
  url;

  /** In a network namespace of a test it listens on every address of it, for nobody else can reach it there. */
  constructor(settings = [], namespace = undefined) {
    this.#settings = settings;
    this.#namespace = namespace;
  }

  async start() {
    this.#dir ??= await mkdtemp(join(tmpdir(), "onair-browser-"));
    const anywhere = this.#namespace === undefined ? "127.0.0.1:0" : "0.0.0.0:0";
    const listen = this.url ? new URL(this.url).host : anywhere;
    const settings = [
      `http.listen=${listen}`,
      `storage.url=file://${this.#dir}/recordings`,
      `storage.spool=${this.#dir}/spool`,
      "hls.segment_ms=2000",
      "record.reconnect_s=1",
      ...this.#settings,
    ];
    const open_to_all = this.#namespace === undefined ? [] : ["--insecure"];
    const args = ["serve", ...open_to_all, ...settings.flatMap((setting) => ["--set", setting])];
    const [command, ...before] = within(this.#namespace, PROGRAM);
    // Kept for whoever has to explain a failure.
    const logs = join(ROOT, "target/browser-logs");
    await mkdir(logs, { recursive: true });
    const log = await open(join(logs, `${basename(process.argv[1])}.log`), "a");
    this.#child = spawn(command, [...before, ...args], { cwd: this.#dir, stdio: ["ignore", "pipe", log.fd] });
    await log.close();
    const lines = createInterface({ input: this.#child.stdout });
    const [line] = await once(lines, "line", { signal: AbortSignal.timeout(30_000) });
    const ready = /^onair is ready: (http:\/\/\S+?)\/$/.exec(line);
    assert.ok(ready, `the line that names the address: ${line}`);
    this.url = ready[1];
    return this;
  }

  /** Ends it as an operator does, and checks that it ends well. */
  async stop() {
    if (this.#child.exitCode === null) {
      this.#child.kill("SIGTERM");
      await once(this.#child, "exit", { signal: AbortSignal.timeout(30_000) });
    }
    assert.equal(this.#child.exitCode, 0, "SIGTERM is a normal end");
  }

  /** Ends it whatever happens, and removes what it wrote. */
  async remove() {
    if (this.#child?.exitCode === null && this.#child.signalCode === null) {
      this.#child.kill("SIGKILL");
      await once(this.#child, "exit");
    }
    if (this.#dir) await rm(this.#dir, { recursive: true, force: true });
  }

  /** Returns JSON of the API, or undefined when the answer is not 200. */
  async json(path) {
    const answer = await fetch(this.url + path);
    return answer.ok ? answer.json() : undefined;
  }
}

/** Publishes a generated clip with `onair publish`; returns what ends it. */
export function publishClip(server, name, room, more = []) {
  const clip = join(ROOT, "target/media", name);
  const child = spawn(PROGRAM, ["publish", clip, "--to", `${server.url}/whip/${room}`, ...more], { stdio: "ignore" });
  const ended = once(child, "exit");
  return { ended, kill: () => child.kill("SIGKILL") };
}

/** Returns the words that run a program in a network namespace, or as it is. */
function within(namespace, program) {
  return namespace === undefined ? [program] : ["ip", "netns", "exec", namespace, program];
}

/** Writes a program that starts the browser there: arguments cannot be put before those of Playwright. */
async function scriptWithin(namespace) {
  const script = join(await mkdtemp(join(tmpdir(), "onair-browser-")), "browser");
  await writeFile(script, `#!/bin/sh\nexec ${within(namespace, BROWSER).join(" ")} "$@"\n`, { mode: 0o755 });
  return script;
}

/** Starts Chromium with a fake camera and microphone, and a profile that is new; in a network namespace, if one is named. */
export async function launchBrowser(namespace = undefined) {
  return chromium.launch({
    executablePath: namespace === undefined ? BROWSER : await scriptWithin(namespace),
    headless: true,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--use-fake-device-for-media-stream",
      "--use-fake-ui-for-media-stream",
      "--allow-loopback-in-peer-connection",
      "--autoplay-policy=no-user-gesture-required",
      // Pages in the background go on at full speed, as they would on machines of their own.
      "--disable-background-timer-throttling",
      "--disable-backgrounding-occluded-windows",
      "--disable-renderer-backgrounding",
    ],
  });
}

/** Opens a page; errors of its scripts fail the test through `page.errors`. */
export async function openPage(browser, url, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, permissions: ["camera", "microphone"], ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  page.errors = [];
  page.on("pageerror", (error) => page.errors.push(String(error)));
  await page.goto(url);
  return page;
}

/** Waits until `look` returns something, and returns it. */
export async function eventually(what, look, within_ms = MEDIA_MS) {
  const end = Date.now() + within_ms;
  for (let last; ; await sleep(200)) {
    const found = await look((seen) => (last = seen));
    if (found) return found;
    if (Date.now() > end) assert.fail(`${what}: did not happen within ${within_ms} ms; last seen: ${JSON.stringify(last)}`);
  }
}

/** Waits for `document.documentElement.dataset.state`. */
export async function untilState(page, state, within_ms = MEDIA_MS) {
  await eventually(`the page is ${state}`, async (saw) => {
    const now = await page.evaluate(() => document.documentElement.dataset.state);
    saw(now);
    return now === state;
  }, within_ms);
}

/** Returns the RTP statistics of the page's peer connection: { audio, video } of `type`. */
export async function rtpStats(page, type) {
  return page.evaluate(async (wanted) => {
    const report = await window.onair?.pc?.getStats();
    const found = {};
    for (const stats of report?.values() ?? []) if (stats.type === wanted) found[stats.kind] = { ...stats };
    return found;
  }, type);
}

/** Returns what the video element of the page has shown. */
export async function playback(page) {
  return page.evaluate(() => {
    const video = document.querySelector("#video");
    const { totalVideoFrames, droppedVideoFrames } = video.getVideoPlaybackQuality();
    return {
      frames: totalVideoFrames - droppedVideoFrames,
      width: video.videoWidth,
      height: video.videoHeight,
      position_s: video.currentTime,
      duration_s: video.duration,
      audio_bytes: video.webkitAudioDecodedByteCount,
      error: video.error?.message ?? null,
    };
  });
}

/** Keeps a picture of the page for people to look at. */
export async function screenshot(page, name) {
  const dir = join(ROOT, "target/screenshots");
  await mkdir(dir, { recursive: true });
  await page.screenshot({ path: join(dir, `${name}.png`) });
}

