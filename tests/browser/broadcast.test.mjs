// A person goes live with a camera, one watches in real time and one by HLS: pictures decoded, sound flowing.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { eventually, launchBrowser, openPage, playback, rtpStats, screenshot, Server, untilState } from "./support.mjs";

// A goodbye ends a broadcast at once, however long a lost publisher would be waited for.
const server = new Server(["record.reconnect_s=60"]);
let browser;
let publisher;

before(async () => {
  await server.start();
  browser = await launchBrowser();
});

after(async () => {
  await browser?.close();
  await server.remove();
});

test("the publish page goes live with camera and microphone", async () => {
  publisher = await openPage(browser, `${server.url}/publish/studio-1?source=camera`);
  await publisher.selectOption("#height", "480");
  await publisher.getByRole("button", { name: "Go live" }).click();
  await untilState(publisher, "live");
  await eventually("a picture of a useful size and sound are sent", async (saw) => {
    const stats = await rtpStats(publisher, "outbound-rtp");
    saw(stats);
    // A browser begins small and grows as it learns what the way and the processor bear.
    return stats.video?.framesSent > 30 && stats.video.frameHeight >= 360 && stats.audio?.packetsSent > 50;
  });
  const room = await eventually("the room knows its tracks", async (saw) => {
    const room = await server.json("/api/rooms/studio-1");
    saw(room);
    return room?.state === "live" && room.tracks.length === 2 && room;
  });
  assert.deepEqual(room.tracks.map(({ codec }) => codec).sort(), ["h264", "opus"], "H.264 is preferred, for HLS and recording");
  await screenshot(publisher, "publish-live-1280");
});

test("the watch page shows it in real time", async () => {
  const page = await openPage(browser, `${server.url}/watch/studio-1?via=whep`);
  await untilState(page, "playing");
  await page.getByRole("button", { name: "Unmute" }).click();
  const seen = await eventually("frames are decoded and the beeps of the fake microphone are heard", async (saw) => {
    const stats = await rtpStats(page, "inbound-rtp");
    saw(stats);
    // A second of sound: pictures of before the join may come faster than that.
    const { audio, video } = stats;
    return video?.framesDecoded > 30 && audio?.packetsReceived > 50 && audio.totalAudioEnergy > 0 && stats;
  });
  assert.ok(seen.audio.packetsLost < 10, "sound flows");
  await eventually("the picture has the size that is sent", async (saw) => {
    const [{ video: sent }, { video: received }] = await Promise.all([rtpStats(publisher, "outbound-rtp"), rtpStats(page, "inbound-rtp")]);
    saw([sent.frameWidth, sent.frameHeight, received.frameWidth, received.frameHeight]);
    return sent.frameWidth === received.frameWidth && sent.frameHeight === received.frameHeight;
  });
  const shown = await eventually("frames are presented", async (saw) => {
    const shown = await playback(page);
    saw(shown);
    return shown.frames > 30 && shown;
  });
  assert.equal(shown.error, null);
  await screenshot(page, "watch-whep-1280");
  assert.deepEqual(page.errors, []);
  await page.context().close();
});

test("the watch page shows it by HLS", async () => {
  const page = await openPage(browser, `${server.url}/watch/studio-1?via=hls`);
  await untilState(page, "playing");
  const shown = await eventually("frames and sound are decoded", async (saw) => {
    const shown = await playback(page);
    saw(shown);
    return shown.frames > 30 && shown.position_s > 0 && shown.audio_bytes > 0 && shown;
  });
  assert.equal(shown.error, null);
  assert.ok(shown.width / shown.height > 1.3, `the picture of the camera: ${shown.width}x${shown.height}`);
  assert.ok(await page.evaluate(() => window.onair.hls), "hls.js plays, not the browser");
  await screenshot(page, "watch-hls-1280");
  assert.deepEqual(page.errors, []);
  await page.context().close();
});

test("the rooms page counts who is there", async () => {
  const page = await openPage(browser, server.url);
  await page.getByText("studio-1").first().waitFor();
  await screenshot(page, "rooms-live-1280");
  assert.deepEqual(page.errors, []);
  await page.context().close();
});

test("the broadcaster ends the recording and begins another", async () => {
  const recordingIs = (wanted) =>
    eventually(`the recording is ${wanted}`, async (saw) => {
      const { recording } = await server.json("/api/rooms/studio-1");
      saw(recording);
      return recording.state === wanted && recording.recording;
    });
  const first = await recordingIs("recording");
  await publisher.getByRole("button", { name: "Stop recording" }).click();
  await publisher.getByText("the broadcast goes on").waitFor();
  assert.equal(await recordingIs("stored"), first);
  await screenshot(publisher, "publish-not-recorded-1280");
  await publisher.getByRole("button", { name: "Start recording" }).click();
  await publisher.getByRole("button", { name: "Stop recording" }).waitFor();
  assert.notEqual(await recordingIs("recording"), first);
  assert.deepEqual(publisher.errors, []);
});

test("Stop ends the broadcast, and its recordings are complete", async () => {
  await publisher.getByRole("button", { name: "Stop", exact: true }).click();
  await untilState(publisher, "ended");
  const recordings = await eventually("the recordings are complete", async (saw) => {
    const list = await server.json("/api/recordings?room=studio-1");
    saw(list);
    return list?.recordings.length === 2 && list.recordings.every(({ state }) => state === "complete") && list.recordings;
  });
  // The newest comes first.
  assert.ok(recordings[1].duration_ms > 3_000, `${recordings[1].duration_ms} ms`);
  assert.deepEqual(publisher.errors, []);
});
