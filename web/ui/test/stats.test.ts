import assert from "node:assert/strict";
import test from "node:test";
import { publisherStats, viewerStats } from "../src/rtc/stats.ts";

test("a broadcaster's rates come from two reports", () => {
  const report = (bytes: number, at: number): object[] => [
    { type: "outbound-rtp", kind: "video", codecId: "c1", bytesSent: bytes, timestamp: at, framesPerSecond: 30, frameWidth: 1280, frameHeight: 720, qualityLimitationReason: "cpu" },
    { type: "outbound-rtp", kind: "audio", codecId: "c2", bytesSent: 1000, timestamp: at },
    { type: "codec", id: "c2", mimeType: "audio/opus" },
    { type: "codec", id: "c1", mimeType: "video/H264" },
    { type: "codec", id: "c3", mimeType: "video/VP8" },
    { type: "remote-inbound-rtp", fractionLost: 0.25, roundTripTime: 0.5 },
    { type: "candidate-pair", nominated: true, currentRoundTripTime: 0.04 },
  ];
  const first = publisherStats(report(0, 1000));
  assert.equal(first.bitrate_bps, undefined);
  // 250,000 bytes in 1 s = 2 Mb/s
  const second = publisherStats(report(250_000, 2000), first.counters);
  assert.equal(second.bitrate_bps, 2_000_000);
  assert.equal(second.rtt_ms, 40);
  assert.equal(second.loss, 0.25);
  assert.equal(second.limitation, "cpu");
  assert.deepEqual(second.codecs, ["video/H264", "audio/opus"]);
});

test("a viewer's loss is that of the last interval", () => {
  const report = (packets: number, lost: number, at: number): object[] => [
    { type: "inbound-rtp", kind: "video", bytesReceived: packets * 1000, packetsReceived: packets, packetsLost: lost, timestamp: at, jitterBufferDelay: 3, jitterBufferEmittedCount: 60 },
  ];
  const first = viewerStats(report(900, 100, 1000));
  assert.equal(first.loss, undefined);
  // 90 arrived and 10 were lost since: 10 %
  const second = viewerStats(report(990, 110, 2000), first.counters);
  assert.equal(second.loss, 0.1);
  assert.equal(second.jitter_buffer_ms, 50);
});

test("a connection that counts from zero again has no negative rate", () => {
  const fresh = viewerStats([{ type: "inbound-rtp", bytesReceived: 10, timestamp: 2000 }], { bytes: 5000, packets: 5, lost: 0, at_ms: 1000 });
  assert.equal(fresh.bitrate_bps, undefined);
  assert.equal(viewerStats([]).bitrate_bps, undefined);
});
