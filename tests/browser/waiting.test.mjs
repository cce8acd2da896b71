// Viewers who come too early, whose publisher breaks off, or who find somebody else at the microphone.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { eventually, launchBrowser, openPage, playback, publishClip, rtpStats, screenshot, Server, untilState } from "./support.mjs";

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

test("a viewer waits for the broadcast and sees it begin, and begin again", async () => {
  const viewer = await openPage(browser, `${server.url}/watch/early?via=whep`);
  await untilState(viewer, "waiting");
  await screenshot(viewer, "watch-waiting-1280");
  for (const time of ["first", "second"]) {
    const publisher = publishClip(server, "h264-opus.mp4", "early", ["--loop"]);
    await untilState(viewer, "playing");
    await eventually(`the ${time} broadcast is seen`, async (saw) => {
      const stats = await rtpStats(viewer, "inbound-rtp");
      saw(stats);
      return stats.video?.framesDecoded > 30 && stats.video.frameWidth === 640;
    });
    publisher.kill();
    await publisher.ended;
    // Nobody said goodbye: the server has to notice by itself before the next one may come.
    await eventually("the room is free", async () => {
      const room = await server.json("/api/rooms/early");
      return room === undefined || room.state !== "live";
    }, 60_000);
  }
  assert.deepEqual(viewer.errors, []);
  await viewer.context().close();
});

test("real time that does not work falls back to HLS", async () => {
  const publisher = publishClip(server, "h264-opus.mp4", "fallback", ["--loop"]);
  await eventually("HLS is ready", async () => (await server.json("/api/rooms/fallback"))?.hls.state === "ready");
  const context = await browser.newContext();
  // What a firewall does that lets no UDP through: the answer comes, media never does.
  await context.addInitScript(() => {
    const Real = window.RTCPeerConnection;
    window.RTCPeerConnection = class extends Real {
      setRemoteDescription(description) {
        const sdp = description.sdp.replace(/^(a=candidate:\S+ \d \S+ \d+ )\S+ \d+/gm, "$1127.0.0.1 9");
        return super.setRemoteDescription({ type: description.type, sdp });
      }
    };
  });
  const page = await context.newPage();
  await page.goto(`${server.url}/watch/fallback`);
  await untilState(page, "playing", 60_000);
  await eventually("HLS plays", async (saw) => {
    const shown = await playback(page);
    saw(shown);
    return shown.frames > 30 && (await page.evaluate(() => Boolean(window.onair.hls)));
  });
  publisher.kill();
  await context.close();
});

test("a taken room offers to take over", async () => {
  const publisher = publishClip(server, "h264-opus.mp4", "taken", ["--loop"]);
  await eventually("it is live", async () => (await server.json("/api/rooms/taken"))?.state === "live");
  const page = await openPage(browser, `${server.url}/publish/taken?source=camera&autostart=1`);
  await page.getByRole("button", { name: "Take over" }).click();
  await untilState(page, "live");
  publisher.kill();
  assert.deepEqual(page.errors, []);
  await page.context().close();
});
