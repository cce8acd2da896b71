// The server is restarted while a page broadcasts and others watch: nobody has to reload anything.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { eventually, launchBrowser, openPage, playback, rtpStats, Server, untilState } from "./support.mjs";

const server = new Server();
let browser;

before(async () => {
  await server.start();
  browser = await launchBrowser();
});

after(async () => {
  await browser?.close();
  await server.remove();
});

test("publishing and watching go on by themselves after a restart", async () => {
  const publisher = await openPage(browser, `${server.url}/publish/room?source=camera&autostart=1`);
  await untilState(publisher, "live");
  const viewer = await openPage(browser, `${server.url}/watch/room?via=whep`);
  await untilState(viewer, "playing");
  await server.stop();
  for (const page of [publisher, viewer]) {
    await eventually("the page notices", async () => (await page.evaluate(() => document.documentElement.dataset.state)) !== "playing");
  }
  await server.start();
  await untilState(publisher, "live", 60_000);
  await untilState(viewer, "playing", 60_000);
  const before_frames = (await playback(viewer)).frames;
  await eventually("the picture moves again", async (saw) => {
    const shown = await playback(viewer);
    saw(shown);
    const stats = await rtpStats(viewer, "inbound-rtp");
    return shown.frames !== before_frames && stats.video?.framesDecoded > 20 && stats.audio?.packetsReceived > 20;
  });
  assert.deepEqual([...publisher.errors, ...viewer.errors], []);
});
