// A viewer that joins between two keyframes, of an encoder that makes none when asked, has a picture and catches up.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { eventually, launchBrowser, openPage, publishClip, rtpStats, Server, untilState } from "./support.mjs";

// What the file has, and what Opus has by nature.
const FRAMES_PER_S = 30;
const SOUNDS_PER_S = 50;

const server = new Server();
let browser;
let publisher;

before(async () => {
  await server.start();
  browser = await launchBrowser();
});

after(async () => {
  publisher?.kill();
  await browser?.close();
  await server.remove();
});

test("a viewer sees what was filmed before it came, and is live soon after", async () => {
  // A keyframe each ten seconds, whatever is asked for.
  publisher = publishClip(server, "h264-gop10-opus.mp4", "room", ["--loop"]);
  await eventually("the room is live", async () => (await server.json("/api/rooms/room"))?.state === "live");
  await sleep(4_000);
  const viewer = await openPage(browser, `${server.url}/watch/room?via=whep`);
  await untilState(viewer, "playing");
  // Sound is live, so it is the clock: pictures that are more than went with it were filmed before.
  const caught = await eventually("pictures of before the join", async (saw) => {
    const { audio, video } = await rtpStats(viewer, "inbound-rtp");
    const ahead = (video?.framesDecoded ?? 0) - ((audio?.packetsReceived ?? 0) * FRAMES_PER_S) / SOUNDS_PER_S;
    saw({ ahead, audio, video });
    return ahead > 2 * FRAMES_PER_S && video;
  });
  assert.equal(caught.packetsLost, 0, "numbers go on without a gap");
  assert.equal(caught.nackCount, 0, "nothing is asked for again");
  await eventually("the picture is live", async (saw) => {
    const before = (await rtpStats(viewer, "inbound-rtp")).video;
    await sleep(2_000);
    const { video } = await rtpStats(viewer, "inbound-rtp");
    const rate = ((video.framesDecoded - before.framesDecoded) / (video.timestamp - before.timestamp)) * 1_000;
    saw({ rate });
    return rate < 1.3 * FRAMES_PER_S && video.framesDecoded > 0;
  });
  assert.deepEqual(viewer.errors, []);
});
