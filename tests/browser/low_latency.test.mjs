// Low-latency HLS in a real player: hls.js plays the watch page's parts close to the live edge, without a stall, from the
// server and through nginx, which asks the server for each thing once.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Nginx } from "./nginx.mjs";
import { eventually, launchBrowser, openPage, playback, publishClip, Server, untilState } from "./support.mjs";

/** How long it plays, in seconds of media. */
const PLAYS_S = 60;

/** What a viewer may be behind: parts of half a second, three of them held back, and a machine that is busy. */
const LATENCY_S = 3;

/** Further than hls.js keeps what was played: it has to ask again. */
const BACK_S = 40;

/** How much it plays there. */
const PAST_S = 3;

// Segments of 2 s; deltas are offered because the window is longer than six target durations.
const server = new Server();
const nginx = new Nginx();
let browser;
let publisher;

before(async () => {
  await server.start();
  await nginx.start(server);
  browser = await launchBrowser();
  publisher = publishClip(server, "h264-opus.mp4", "low", ["--loop"]);
  await eventually("HLS is ready", async () => (await server.json("/api/rooms/low"))?.hls.state === "ready");
});

after(async () => {
  publisher?.kill();
  await browser?.close();
  await nginx.stop();
  await server.remove();
});

/** Opens the watch page of a server or of what is before it, and counts what its player asks for. */
async function watch(url) {
  const page = await openPage(browser, `${url}/watch/low?via=hls`);
  page.asked = { blocking: 0, delta: 0, parts: 0, failed: [] };
  page.on("response", (response) => {
    const url = response.url();
    if (!url.includes("/hls/low/")) return;
    if (url.includes("_HLS_msn=")) page.asked.blocking++;
    if (url.includes("_HLS_skip=")) page.asked.delta++;
    if (/\d{6}\.\d+\.m4s/.test(url)) page.asked.parts++;
    if (response.status() >= 400) page.asked.failed.push(`${response.status()} ${url}`);
  });
  await untilState(page, "playing");
  await page.evaluate(() => {
    const { hls } = window.onair;
    window.complaints = [];
    hls.on("hlsError", (_event, { details }) => window.complaints.push(details));
  });
  return page;
}

const latency = (page) => page.evaluate(() => window.onair.hls.latency);
const complaints = (page) => page.evaluate(() => window.complaints);

/** Waits until each page has played so much, and returns what each was behind live meanwhile, in the order of size. */
async function play(pages, seconds) {
  const begin = await Promise.all(pages.map(async (page) => (await playback(page)).position_s));
  const latencies = pages.map(() => []);
  await eventually(`${seconds} s are played`, async (saw) => {
    const now = await Promise.all(pages.map(async (page, index) => {
      latencies[index].push(await latency(page));
      return (await playback(page)).position_s;
    }));
    saw({ begin, now, complaints: await Promise.all(pages.map(complaints)) });
    return now.every((position_s, index) => position_s > begin[index] + seconds);
  }, (seconds + 30) * 1000);
  return latencies.map((seen) => seen.toSorted((a, b) => a - b));
}

const median = (sorted) => sorted[sorted.length >> 1];

/** Checks that a player made use of everything, and had nothing to complain about. */
async function check(page, latencies) {
  const { details } = await page.evaluate(() => {
    const { levels, currentLevel } = window.onair.hls;
    const { canBlockReload, canSkipUntil, partTarget } = levels[Math.max(currentLevel, 0)].details;
    return { details: { canBlockReload, canSkipUntil, partTarget } };
  });
  const seen = { ...page.asked, complaints: await complaints(page), latency: [median(latencies), latencies.at(-1)] };
  console.log(JSON.stringify(seen));
  assert.deepEqual(details, { canBlockReload: true, canSkipUntil: 18, partTarget: 0.5 });
  assert.ok(seen.blocking > PLAYS_S && seen.parts > PLAYS_S && seen.delta > 0, JSON.stringify(seen));
  assert.deepEqual(seen.complaints, []);
  assert.ok(median(latencies) > 0 && median(latencies) < LATENCY_S, JSON.stringify(seen));
  assert.deepEqual(page.errors, []);
}

test("hls.js plays parts near the live edge, goes back and returns", async () => {
  const page = await watch(server.url);
  const [latencies] = await play([page], PLAYS_S);
  await check(page, latencies);

  const edge_s = (await playback(page)).position_s;
  await page.evaluate((back_s) => (document.querySelector("#video").currentTime -= back_s), BACK_S);
  await play([page], PAST_S);
  const past_s = (await playback(page)).position_s;
  assert.ok(past_s < edge_s - BACK_S + PAST_S + 10, `it plays the past: ${past_s} s, live was ${edge_s} s`);
  assert.ok((await latency(page)) > BACK_S / 2, "and knows how far behind it is");

  await page.evaluate(() => (document.querySelector("#video").currentTime = window.onair.hls.liveSyncPosition));
  await play([page], PAST_S);
  const back_s = await latency(page);
  assert.ok(back_s > 0 && back_s < LATENCY_S, `live again: ${back_s} s behind`);
  assert.deepEqual(page.errors, []);
  await page.context().close();
});

test("two players behind nginx are one to the server", async () => {
  const pages = [await watch(nginx.url), await watch(nginx.url)];
  const latencies = await play(pages, PLAYS_S);
  for (const [index, page] of pages.entries()) await check(page, latencies[index]);
  const { asked, had } = await nginx.requests("/hls/low/");
  const times = new Map();
  for (const { path } of asked) times.set(path, (times.get(path) ?? 0) + 1);
  // A playlist without a number is another one each time.
  const objects = [...times.keys()].filter((path) => path.includes("_HLS_msn=") || !path.endsWith("index.m3u8"));
  const twice = objects.filter((path) => times.get(path) > 1);
  assert.ok(objects.length > 4 * PLAYS_S, `${objects.length} objects`);
  assert.deepEqual(twice, []);
  console.log(JSON.stringify({ asked: asked.length, had: had.length }));
  assert.ok(had.length > 0.8 * objects.length, `${had.length} of the second player, ${objects.length} objects`);
  await Promise.all(pages.map((page) => page.context().close()));
});
