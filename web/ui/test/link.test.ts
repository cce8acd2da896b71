import assert from "node:assert/strict";
import test from "node:test";
import { iceServers, parseLinks } from "../src/rtc/link.ts";

test("several links in one header are told apart", () => {
  const header =
    '<stun:stun.example.net>; rel="ice-server", ' +
    '<turn:turn.example.net?transport=udp>; rel="ice-server"; username="user"; credential="my,Pass;\\"word"; credential-type="password"';
  assert.deepEqual(iceServers(header), [
    { urls: "stun:stun.example.net" },
    { urls: "turn:turn.example.net?transport=udp", username: "user", credential: 'my,Pass;"word' },
  ]);
});

test("links of other relations and other schemes are no ICE servers", () => {
  const header = '<https://example.net/x>; rel="ice-server", <turn:t.example.net>; rel="next", </sse>; rel=urn:x';
  assert.deepEqual(iceServers(header), []);
  assert.deepEqual(iceServers(null), []);
});

test("unquoted values, odd spacing and several relations are read", () => {
  const [link] = parseLinks("  <stuns:s.example.net:5349> ;REL = foo");
  assert.equal(link?.params.get("rel"), "foo");
  assert.deepEqual(iceServers('<stun:a>;rel="x ice-server"'), [{ urls: "stun:a" }]);
});

test("garbage neither throws nor hides the links after it", () => {
  assert.deepEqual(parseLinks("garbage"), []);
  assert.deepEqual(parseLinks("<unclosed"), []);
  assert.deepEqual(iceServers('nonsense here, <stun:a>; rel="ice-server"'), [{ urls: "stun:a" }]);
  assert.equal(parseLinks(',,,<a>;x="open').length, 1);
});
