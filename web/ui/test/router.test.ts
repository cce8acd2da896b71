import assert from "node:assert/strict";
import test from "node:test";
import { isRoomName, matchRoute } from "../src/router.ts";

test("every page has its path", () => {
  assert.deepEqual(matchRoute("/"), { page: "rooms" });
  assert.deepEqual(matchRoute("/publish/studio-1"), { page: "publish", room: "studio-1" });
  assert.deepEqual(matchRoute("/watch/demo/"), { page: "watch", room: "demo" });
  assert.deepEqual(matchRoute("/recordings"), { page: "recordings" });
  assert.deepEqual(matchRoute("/recordings/demo/20261122T063000Z-7f3a9c"), {
    page: "recording",
    room: "demo",
    recording: "20261122T063000Z-7f3a9c",
  });
});

test("what no page owns is not found", () => {
  for (const path of ["/nowhere", "/publish", "/publish/", "/watch/a/b", "/recordings/demo", "/recordings/a/b/c"]) {
    assert.deepEqual(matchRoute(path), { page: "not-found" }, path);
  }
});

test("a path that decodes to no room name is not found", () => {
  for (const path of ["/watch/%", "/watch/.hidden", "/watch/a%2Fb", "/watch/a%20b"]) {
    assert.deepEqual(matchRoute(path), { page: "not-found" }, path);
  }
});

test("room names are 1 to 64 safe characters without a leading dot", () => {
  for (const name of ["a", "A.b_c-9", "-", "x".repeat(64)]) assert.ok(isRoomName(name), name);
  for (const name of ["", ".a", "a b", "ä", "x".repeat(65), "a\n"]) assert.ok(!isRoomName(name), name);
});
