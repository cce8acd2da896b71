import assert from "node:assert/strict";
import test from "node:test";
import { withStereo } from "../src/rtc/opus.ts";

test("an offer asks for stereo Opus and leaves every other line alone", () => {
  const offer = "m=audio 9 X 111 63\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\na=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\n";
  assert.equal(withStereo(offer), offer.replace("useinbandfec=1", "useinbandfec=1;stereo=1"));
});

test("what is said already is not said twice", () => {
  const offer = "a=rtpmap:111 opus/48000/2\na=fmtp:111 minptime=10;stereo=0\n";
  assert.equal(withStereo(offer), offer);
  assert.equal(withStereo(withStereo("a=rtpmap:9 opus/48000/2\na=fmtp:9 a=b\n")), "a=rtpmap:9 opus/48000/2\na=fmtp:9 a=b;stereo=1\n");
});
