// A browser publishes three encodings; each viewer gets the one that its link carries.

import assert from "node:assert/strict";
import { after, test } from "node:test";

import { Links } from "./links.mjs";
import { eventually, launchBrowser, openPage, screenshot, Server, untilState } from "./support.mjs";

/** Links in kbit/s, and the picture that each carries beside the sound: the fake camera fills about 110, 240 and 500. */
const VIEWERS = [
  { kbit: 5000, width: 1280 },
  { kbit: 420, width: 640 },
  { kbit: 200, width: 320 },
];

/** For how many looks, one a second, a viewer must have had its picture: it has settled then. */
const SETTLED_LOOKS = 5;

const closers = [];

after(async () => {
  for (const close of closers.reverse()) await close();
});

async function video(page) {
  return page.evaluate(async () => {
    const report = await window.onair?.pc?.getStats();
    const rows = [...(report?.values() ?? [])];
    const row = rows.find(({ type, kind }) => type === "inbound-rtp" && kind === "video");
    return row && { width: row.frameWidth, frames: row.framesDecoded, frozen_s: row.totalFreezesDuration, lost: row.packetsLost };
  });
}

/** Waits until a viewer has settled on a width; returns how long that took and what was seen. */
async function settles(page, { kbit, width }) {
  const seen = [];
  const began = Date.now();
  await eventually(`${kbit} kbit/s carry ${width} pixels`, async (saw) => {
    seen.push(await video(page));
    saw(seen.slice(-10).map((look) => look?.width));
    await new Promise((resolve) => setTimeout(resolve, 800));
    return seen.length >= SETTLED_LOOKS && seen.slice(-SETTLED_LOOKS).every((look) => look?.width === width);
  }, 90_000);
  return { kbit, settled_s: Math.round((Date.now() - began) / 1000) - SETTLED_LOOKS, ...seen.at(-1) };
}

test("each viewer gets the encoding that its link carries", async (t) => {
  const links = new Links();
  closers.push(() => links.remove());
  try {
    await links.start();
  } catch (error) {
    return t.skip(`this machine makes no network namespaces: ${error.message}`);
  }
  const places = [];
  for (const { kbit } of VIEWERS) places.push(await links.viewer(kbit));
  const server = new Server([], links.server);
  closers.push(() => server.remove());
  await server.start();
  const { port } = new URL(server.url);
  const browserIn = async (namespace) => {
    const browser = await launchBrowser(namespace);
    closers.push(() => browser.close());
    return browser;
  };

  const publisher = await openPage(await browserIn(links.server), `http://127.0.0.1:${port}/publish/slow?autostart=1&simulcast=1`);
  await untilState(publisher, "live");
  const room = () => publisher.evaluate(async () => (await fetch("/api/rooms/slow")).json());
  const { encodings } = await eventually("three encodings come", async (saw) => {
    const track = (await room()).tracks.find(({ kind }) => kind === "video");
    saw(track);
    return track?.encodings?.length === 3 && track.encodings.every(({ width }) => width) && track;
  });
  assert.deepEqual(encodings.map(({ encoding, width, height }) => [encoding, width, height]), [["f", 1280, 720], ["h", 640, 360], ["q", 320, 180]]);
  await screenshot(publisher, "publish-simulcast-1280");

  const pages = [];
  for (const place of places) {
    pages.push(await openPage(await browserIn(place.name), `http://${place.server}:${port}/watch/slow?via=whep`));
  }
  const settled = await Promise.all(VIEWERS.map((viewer, i) => settles(pages[i], viewer)));
  console.log(JSON.stringify(settled));
  for (const page of [publisher, ...pages]) assert.deepEqual(page.errors, []);
});

test("the best encoding is recorded, and a viewer with room for it climbs to it", async () => {
  const server = await new Server().start();
  closers.push(() => server.remove());
  const browser = await launchBrowser();
  closers.push(() => browser.close());
  const publisher = await openPage(browser, `${server.url}/publish/best?autostart=1&simulcast=1`);
  await untilState(publisher, "live");
  const viewer = await openPage(browser, `${server.url}/watch/best?via=whep`);
  await eventually("the viewer gets the large picture", async (saw) => {
    const look = await video(viewer);
    saw(look);
    return look?.width === 1280;
  });
  await eventually("the large picture is packaged", async (saw) => {
    const { tracks } = await server.json("/api/rooms/best");
    saw(tracks);
    return tracks.some(({ width }) => width === 1280);
  });
  await publisher.getByRole("button", { name: "Stop", exact: true }).click();
  const manifest = await eventually("the recording is complete", async () => {
    const list = await server.json("/api/recordings?room=best");
    return list?.recordings.find(({ state }) => state === "complete");
  });
  assert.equal(manifest.tracks.find(({ name }) => name === "video").width, 1280);
});
