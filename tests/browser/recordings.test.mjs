// The recordings pages: list, playback, download, deletion.

import assert from "node:assert/strict";
import { stat } from "node:fs/promises";
import { after, before, test } from "node:test";

import { eventually, launchBrowser, openPage, playback, publishClip, screenshot, Server } from "./support.mjs";

const server = new Server();
let browser;
let recording;

before(async () => {
  await server.start();
  browser = await launchBrowser();
  const [code] = await publishClip(server, "h264-opus.mp4", "studio-1").ended;
  assert.equal(code, 0);
  recording = await eventually("the recording is complete", async () => {
    const list = await server.json("/api/recordings?room=studio-1");
    return list?.recordings.find(({ state }) => state === "complete");
  });
});

after(async () => {
  await browser?.close();
  await server.remove();
});

test("the list leads to a page that plays it", async () => {
  const page = await openPage(browser, `${server.url}/recordings`);
  await page.locator("a.recording").first().waitFor();
  await screenshot(page, "recordings-1280");
  await page.locator("a.recording").first().click();
  await page.waitForURL(`**/recordings/studio-1/${recording.recording}`);
  await page.evaluate(() => document.querySelector("#video").play());
  const shown = await eventually("it plays", async (saw) => {
    const shown = await playback(page);
    saw(shown);
    return shown.position_s > 2 && shown.frames > 40 && shown.audio_bytes > 0 && shown;
  });
  assert.deepEqual([shown.width, shown.height, shown.error], [640, 360, null]);
  assert.ok(Math.abs(shown.duration_s - 12) < 0.6, `${shown.duration_s} s`);
  await page.evaluate(() => (document.querySelector("#video").currentTime = 9));
  await eventually("it plays from there", async () => (await playback(page)).position_s > 9.5);
  await screenshot(page, "recording-1280");
  assert.deepEqual(page.errors, []);
  await page.context().close();
});

test("the MP4 is downloaded, and plays in the browser by itself", async () => {
  const page = await openPage(browser, `${server.url}/recordings/studio-1/${recording.recording}`, { acceptDownloads: true });
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: /Download/ }).click()]);
  assert.match(download.suggestedFilename(), /\.mp4$/);
  const manifest = await server.json(`/api/recordings/studio-1/${recording.recording}`);
  const { bytes } = manifest.objects.find(({ name }) => name === "recording.mp4");
  assert.equal((await stat(await download.path())).size, bytes);
  const played = await page.evaluate(async (url) => {
    const video = document.createElement("video");
    video.muted = true;
    video.src = url;
    await video.play();
    return new Promise((resolve) => (video.ontimeupdate = () => video.currentTime > 1 && resolve({ width: video.videoWidth, duration_s: video.duration })));
  }, `/recordings/studio-1/${recording.recording}/recording.mp4`);
  assert.equal(played.width, 640);
  assert.ok(Math.abs(played.duration_s - 12) < 0.6, `${played.duration_s} s`);
  await page.context().close();
});

test("it is deleted only after a question", async () => {
  const path = `/api/recordings/studio-1/${recording.recording}`;
  const page = await openPage(browser, `${server.url}/recordings/studio-1/${recording.recording}`);
  await page.getByRole("button", { name: "Delete" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.waitFor();
  assert.ok(await server.json(path), "nothing has happened yet");
  await dialog.getByRole("button", { name: "Delete" }).click();
  await page.waitForURL("**/recordings");
  await eventually("it is gone", async () => (await server.json(path)) === undefined);
  assert.deepEqual(page.errors, []);
  await page.context().close();
});
