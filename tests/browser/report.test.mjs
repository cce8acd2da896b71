// The publish page says what is wrong with a broadcast, as the server sees it, and what mends it.

import assert from "node:assert/strict";
import { after, test } from "node:test";

import { eventually, launchBrowser, openPage, screenshot, Server, untilState } from "./support.mjs";

const closers = [];

after(async () => {
  for (const close of closers.reverse()) await close();
});

test("a picture that stops is named, with what to do, until it comes back", async () => {
  const server = await new Server().start();
  closers.push(() => server.remove());
  const browser = await launchBrowser();
  closers.push(() => browser.close());
  const page = await openPage(browser, `${server.url}/publish/report?autostart=1`);
  await untilState(page, "live");
  const report = async () => (await server.json("/api/rooms/report")).report;
  await eventually("a few pictures came", async () => (await server.json("/api/rooms/report")).tracks.some(({ kind, packets }) => kind === "video" && packets > 50));

  const setTrack = (on) =>
    page.evaluate(async (on) => {
      window.sender ??= window.onair.pc.getSenders().find(({ track }) => track?.kind === "video");
      window.track ??= window.sender.track;
      await window.sender.replaceTrack(on ? window.track : null);
    }, on);
  await setTrack(false);
  await page.getByRole("heading", { name: "What to improve" }).waitFor({ timeout: 60_000 });
  const text = await page.locator("#report").innerText();
  assert.match(text, /No picture has come for \d+ s\./);
  assert.match(text, /Look whether the source is still on/);
  const [finding] = await report();
  assert.deepEqual([finding.code, finding.track], ["silent", "video"]);
  await screenshot(page, "publish-report-1280");
  await page.setViewportSize({ width: 360, height: 780 });
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "nothing is cut off on a phone");
  await screenshot(page, "publish-report-360");

  await setTrack(true);
  await eventually("it is mended", async (saw) => {
    const findings = await report();
    saw(findings);
    return findings.every(({ code }) => code !== "silent");
  });
  assert.deepEqual(page.errors, []);
});
