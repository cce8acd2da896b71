import assert from "node:assert/strict";
import test from "node:test";
import { applyFragment, iceCredentials, sdpFragment } from "../src/rtc/sdpfrag.ts";

const offer = [
  "v=0",
  "a=group:BUNDLE 0 1",
  "m=audio 9 UDP/TLS/RTP/SAVPF 111",
  "a=ice-ufrag:EsAw",
  "a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1",
  "a=mid:0",
  "m=video 9 UDP/TLS/RTP/SAVPF 96",
  "a=mid:1",
  "",
].join("\r\n");

test("a trickle fragment carries the bundle, its credentials and the candidates", () => {
  const candidate = "candidate:1 1 udp 2130706431 192.0.2.1 61764 typ host";
  assert.equal(
    sdpFragment(offer, [candidate], true),
    "a=group:BUNDLE 0 1\r\na=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n" +
      `m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=${candidate}\r\na=end-of-candidates\r\n`,
  );
});

test("a restart fragment has new credentials and no candidates yet", () => {
  const fragment = sdpFragment(offer, [], false);
  assert.deepEqual(iceCredentials(fragment), { ufrag: "EsAw", pwd: "P2uYro0UCOQ4zxjKXaWCBui1" });
  assert.ok(!fragment.includes("candidate"));
});

test("the server's restart answer replaces credentials and candidates, and nothing else", () => {
  const answer = [
    "v=0",
    "a=ice-lite",
    "m=audio 9 UDP/TLS/RTP/SAVPF 111",
    "a=mid:0",
    "a=ice-ufrag:old",
    "a=ice-pwd:oldpassword",
    "a=setup:passive",
    "a=candidate:1 1 udp 1 192.0.2.9 8080 typ host",
    "a=end-of-candidates",
    "m=video 9 UDP/TLS/RTP/SAVPF 96",
    "a=mid:1",
    "a=ice-ufrag:old",
    "a=ice-pwd:oldpassword",
  ].join("\n");
  const fragment = "a=ice-ufrag:new\na=ice-pwd:newpassword\nm=audio 9 UDP/TLS/RTP/SAVPF 0\na=mid:0\na=candidate:2 1 udp 1 192.0.2.8 8080 typ host\n";
  const applied = applyFragment(answer, fragment);
  assert.ok(applied !== undefined);
  assert.equal(applied.match(/a=ice-ufrag:new\r\n/g)?.length, 2);
  assert.equal(applied.match(/a=candidate:/g)?.length, 1);
  assert.match(applied, /192\.0\.2\.8/);
  assert.match(applied, /a=setup:passive\r\n/);
  assert.ok(!applied.includes("old"));
});

test("a fragment without credentials restarts nothing", () => {
  assert.equal(applyFragment(offer, "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n"), undefined);
  assert.equal(iceCredentials(""), undefined);
});
