// Low-latency HLS in a real player: hls.js plays the watch page's parts close to the live edge, without a stall.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { eventually, launchBrowser, openPage, playback, publishClip, Server, untilState } from "./support.mjs";

/** How long it plays, in seconds of media. */
const PLAYS_S = 20;

/** What a viewer may be behind: parts of half a second, three of them held back, and a machine that is busy. */
const LATENCY_S = 3;

// Segments of 1 s make a target duration of 2 s, so that deltas are asked for within the test.
const server = new Server(["hls.segment_ms=1000", "hls.window_s=30"]);
let browser;

before(async () => {
  await server.start();
  browser = await launchBrowser();
});

after(async () => {
  await browser?.close();
  await server.remove();
});

test("hls.js plays parts near the live edge", async () => {
  const publisher = publishClip(server, "h264-opus.mp4", "low", ["--loop"]);
  await eventually("HLS is ready", async () => (await server.json("/api/rooms/low"))?.hls.state === "ready");
  const page = await openPage(browser, `${server.url}/watch/low?via=hls`);
  const asked = { blocking: 0, delta: 0, parts: 0, failed: [] };
  page.on("response", (response) => {
    const url = response.url();
    if (!url.includes("/hls/low/")) return;
    if (url.includes("_HLS_msn=")) asked.blocking++;
    if (url.includes("_HLS_skip=")) asked.delta++;
    if (/\d{6}\.\d+\.m4s/.test(url)) asked.parts++;
    if (response.status() >= 400) asked.failed.push(`${response.status()} ${url}`);
  });
  await untilState(page, "playing");
  await page.evaluate(() => {
    const { hls } = window.onair;
    window.stalls = [];
    hls.on("hlsError", (_event, { details }) => window.stalls.push(details));
  });
  const begin = (await playback(page)).position_s;
  const latencies = [];
  await eventually("it plays on", async (saw) => {
    const { position_s } = await playback(page);
    latencies.push(await page.evaluate(() => window.onair.hls.latency));
    saw({ position_s, begin, latencies });
    return position_s > begin + PLAYS_S;
  }, 60_000);
  const seen = { ...asked, stalls: await page.evaluate(() => window.stalls), latency: latencies.at(-1) };
  const { details } = await page.evaluate(() => {
    const { targetLatency, levels, currentLevel } = window.onair.hls;
    const { canBlockReload, canSkipUntil, partTarget, partHoldBack } = levels[Math.max(currentLevel, 0)].details;
    return { details: { targetLatency, canBlockReload, canSkipUntil, partTarget, partHoldBack } };
  });
  console.log(JSON.stringify({ ...seen, ...details, median: latencies.toSorted((a, b) => a - b)[latencies.length >> 1] }));
  assert.ok(details.canBlockReload && details.partTarget === 0.5 && details.canSkipUntil === 12, JSON.stringify(details));
  assert.ok(seen.blocking > 10 && seen.parts > 20 && seen.delta > 0, JSON.stringify(seen));
  assert.deepEqual(seen.stalls, []);
  assert.ok(seen.latency > 0 && seen.latency < LATENCY_S, JSON.stringify(seen));
  assert.deepEqual(page.errors, []);
  await page.context().close();
  publisher.kill();
});
