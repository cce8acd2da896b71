// Every page on a phone and on a desk: nothing runs off the side, everything is reached with the keyboard.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { launchBrowser, openPage, screenshot, Server } from "./support.mjs";

const PAGES = {
  rooms: "/",
  publish: "/publish/studio-1",
  watch: "/watch/studio-1",
  recordings: "/recordings",
  recording: "/recordings/studio-1/20200101T000000Z-000000",
  unknown: "/no/such/page",
};
const SIZES = [
  { width: 360, height: 740 },
  { width: 1280, height: 800 },
];

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

for (const [name, path] of Object.entries(PAGES)) {
  for (const viewport of SIZES) {
    test(`${name} at ${viewport.width} pixels`, async () => {
      const page = await openPage(browser, server.url + path, { viewport });
      await page.locator("h1").first().waitFor();
      const { wide, titled, headings } = await page.evaluate(() => ({
        wide: document.documentElement.scrollWidth - innerWidth,
        titled: document.title.length > 0 && document.documentElement.lang !== "",
        headings: document.querySelectorAll("h1").length,
      }));
      assert.ok(wide <= 0, `${wide} pixels too wide`);
      assert.ok(titled && headings === 1, "a title, a language and one main heading");
      await screenshot(page, `${name}-${viewport.width}`);
      assert.deepEqual(page.errors, []);
      await page.context().close();
    });
  }
}

test("every control is reached with the keyboard, shows it, and has a name", async () => {
  for (const path of [PAGES.rooms, PAGES.publish, PAGES.recordings]) {
    const page = await openPage(browser, server.url + path);
    await page.locator("h1").first().waitFor();
    const expected = await page.evaluate(() => {
      const visible = (element) => element.checkVisibility({ visibilityProperty: true }) && !element.disabled;
      return [...document.querySelectorAll("a[href], button, select, input:not([type=radio])")].filter(visible).length;
    });
    const reached = new Set();
    for (let presses = 0; presses < expected + 10; presses++) {
      await page.keyboard.press("Tab");
      const focused = await page.evaluate(() => {
        const element = document.activeElement;
        if (!element || element === document.body) return undefined;
        window.focusOrder ??= new Map();
        if (!window.focusOrder.has(element)) window.focusOrder.set(element, window.focusOrder.size);
        const name = element.ariaLabel || element.labels?.[0]?.textContent || element.textContent || element.title;
        return { number: window.focusOrder.get(element), name: name.trim(), ring: element.matches(":focus-visible"), tag: element.outerHTML.slice(0, 80) };
      });
      if (!focused) continue;
      assert.ok(focused.name, `has a name: ${focused.tag}`);
      assert.ok(focused.ring, `shows its focus: ${focused.tag}`);
      reached.add(focused.number);
    }
    assert.ok(reached.size >= expected, `${path}: ${reached.size} of ${expected} controls reached`);
    await page.context().close();
  }
});

test("a room is opened by typing its name", async () => {
  const page = await openPage(browser, server.url);
  await page.getByLabel("Room name").fill("studio-2");
  await page.getByRole("button", { name: "Watch" }).click();
  await page.waitForURL("**/watch/studio-2");
  await page.goBack();
  await page.locator("h1").first().waitFor();
  assert.equal(new URL(page.url()).pathname, "/");
  await page.context().close();
});
