import assert from "node:assert/strict";
import test from "node:test";
import { backoffMs } from "../src/backoff.ts";
import * as format from "../src/format.ts";

/** The space between a number and its unit does not break. */
const gap = (text: string): string => text.replaceAll(" ", "\u00a0");

test("rates and sizes switch units where the shorter number begins", () => {
  assert.equal(format.bitrate(64_000), gap("64 kb/s"));
  assert.equal(format.bitrate(999_600), gap("1 Mb/s"));
  assert.equal(format.bitrate(2_540_000), gap("2.5 Mb/s"));
  assert.equal(format.byteSize(0), gap("0 B"));
  assert.equal(format.byteSize(1_251_200), gap("1.3 MB"));
  assert.equal(format.byteSize(18_902_311), gap("19 MB"));
  assert.equal(format.byteSize(999_900), gap("1 MB"));
});

test("durations read like a clock", () => {
  assert.equal(format.clock(7_400), "0:07");
  assert.equal(format.clock(750_000), "12:30");
  assert.equal(format.clock(3_723_000), "1:02:03");
  assert.equal(format.clock(-5), "0:00");
  assert.equal(format.millis(84.6), gap("85 ms"));
  assert.equal(format.millis(2_400), gap("2.4 s"));
});

test("lengths that go on are rough, so that they do not tick", () => {
  assert.equal(format.elapsed(25_900), gap("25 s"));
  assert.equal(format.elapsed(750_000), gap("12 min"));
  assert.equal(format.elapsed(11_100_000), `${gap("3 h")} ${gap("5 min")}`);
  assert.equal(format.elapsed(187_200_000), `${gap("2 d")} ${gap("4 h")}`);
});

test("codecs go by the names people use, whoever names them", () => {
  assert.equal(format.codecName("video/H264"), "H.264");
  assert.equal(format.codecName("avc1.42E01F"), "H.264");
  assert.equal(format.codecName("mp4a.40.2"), "AAC");
  assert.equal(format.codecName("opus"), "Opus");
  assert.equal(format.codecName("theora"), "theora");
});

test("what is not known is a dash, never NaN", () => {
  assert.equal(format.bitrate(undefined), "–");
  assert.equal(format.clock(Number.NaN), "–");
  assert.equal(format.resolution(0, 0), "–");
  assert.equal(format.localTime("yesterday"), "–");
});

test("retries wait 1, 2, 4, 8, then 10 seconds for ever", () => {
  assert.deepEqual([0, 1, 2, 3, 4, 50].map(backoffMs), [1000, 2000, 4000, 8000, 10_000, 10_000]);
});

test("a place in a recording is written and read alike", () => {
  for (const [time_s, text] of [[7.25, "0:07.25"], [62.5, "1:02.5"], [3723, "1:02:03"], [0, "0:00"], [59.999, "1:00"]] as const) {
    assert.equal(format.position(time_s), text);
    assert.equal(format.parsePosition(text), Math.round(time_s * 100) / 100);
  }
  assert.equal(format.parsePosition(" 90.5 "), 90.5);
  for (const text of ["", "x", "-1", "1:", ":1", "1:2:3:4", "1,5", "1e3", "1.5:00", "NaN"]) assert.equal(format.parsePosition(text), undefined, text);
});
