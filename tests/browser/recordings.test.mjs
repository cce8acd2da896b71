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
  // Before hls.js is attached there is nothing to play, and attaching it would cut a wish to play short.
  await eventually("the recording can be played", async () => (await playback(page)).duration_s > 11);
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

test("a clip is downloaded by keyboard, begins where it was asked to, and mistakes are said", async () => {
  const page = await openPage(browser, `${server.url}/recordings/studio-1/${recording.recording}`, { acceptDownloads: true });
  await eventually("the recording can be played", async () => (await playback(page)).duration_s > 11);
  const [from, to] = [page.getByRole("textbox", { name: "From" }), page.getByRole("textbox", { name: "To" })];
  const said = page.locator("#clip-rule");
  await from.fill("soon");
  await from.press("Enter");
  await eventually("the mistake is said", async () => /“soon” is no time/.test(await said.textContent()));
  assert.equal(await from.getAttribute("aria-invalid"), "true");
  await from.fill("1:00");
  await from.press("Enter");
  await eventually("the server's refusal is said", async () => /outside of the recording/.test(await said.textContent()));

  await page.evaluate(() => (document.querySelector("#video").currentTime = 3.4));
  await from.focus();
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  assert.equal(await from.inputValue(), "0:03.4");
  assert.match(await said.textContent(), /^Minutes and seconds/, "what was wrong is put right");
  await to.fill("8");
  await screenshot(page, "clip-1280");
  const [download] = await Promise.all([page.waitForEvent("download"), to.press("Enter")]);
  assert.equal(download.suggestedFilename(), `studio-1-${recording.recording}-3.4-8.mp4`);
  const { size } = await stat(await download.path());
  const clip = `/recordings/studio-1/${recording.recording}/clip.mp4?from=3.4&to=8`;
  const answer = await fetch(server.url + clip, { method: "HEAD" });
  assert.equal(Number(answer.headers.get("content-length")), size);

  // The browser's own player shows the same picture as the recording at that time, and no other one before.
  const compared = await page.evaluate(async ([clip, whole]) => {
    const drawn = async (url, time_s) => {
      const video = document.createElement("video");
      video.muted = true;
      video.preload = "auto";
      video.src = url;
      await new Promise((resolve, reject) => ((video.onloadeddata = resolve), (video.onerror = () => reject(video.error))));
      if (time_s > 0) await new Promise((resolve) => ((video.onseeked = resolve), (video.currentTime = time_s)));
      const canvas = Object.assign(document.createElement("canvas"), { width: 64, height: 36 });
      const context = canvas.getContext("2d");
      context.drawImage(video, 0, 0, 64, 36);
      return { pixels: [...context.getImageData(0, 0, 64, 36).data], duration_s: video.duration };
    };
    const differences = (one, other) => one.pixels.filter((value, index) => Math.abs(value - other.pixels[index]) > 8).length;
    const [first, same, keyframe] = [await drawn(clip, 0), await drawn(whole, 3.42), await drawn(whole, 3.02)];
    const [later, sameLater] = [await drawn(clip, 3.02), await drawn(whole, 6.42)];
    return { duration_s: first.duration_s, same: differences(first, same), keyframe: differences(first, keyframe), later: differences(later, sameLater) };
  }, [clip, `/recordings/studio-1/${recording.recording}/recording.mp4`]);
  assert.ok(Math.abs(compared.duration_s - 4.6) < 0.034, JSON.stringify(compared));
  assert.ok(compared.same < 20 && compared.later < 20 && compared.keyframe > 100, JSON.stringify(compared));
  assert.deepEqual(page.errors, []);
  await page.context().close();

  const phone = await openPage(browser, `${server.url}/recordings/studio-1/${recording.recording}`, { viewport: { width: 390, height: 844 } });
  await phone.locator("form.clip").scrollIntoViewIfNeeded();
  assert.ok(await phone.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "nothing is cut off");
  await screenshot(phone, "clip-390");
  await phone.context().close();
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
