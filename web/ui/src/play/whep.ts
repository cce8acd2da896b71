// Watching in real time: one WHEP session, from offer to loss.

import { sleep } from "../backoff.ts";
import { withStereo } from "../rtc/opus.ts";
import { RtcSession } from "../rtc/session.ts";
import { viewerStats, type Counters } from "../rtc/stats.ts";
import type { PlayHooks } from "./hooks.ts";

/** The server may hold its answer while it waits for the publisher: longer than `wait`. */
const WAIT_S = 30;
const OPEN_MS = (WAIT_S + 15) * 1000;
const PATH_MS = 5000;
/** Without a packet for so long the picture stands still, */
const STALL_MS = 2500;
/** and for so long in a live room, something is wrong with this session. */
const DEAD_MS = 6000;

/** Plays `room` into `video` until `signal` aborts. Throws why it ended otherwise. */
export async function playWhep(room: string, video: HTMLVideoElement, hooks: PlayHooks, signal: AbortSignal): Promise<void> {
  const pc = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
  window.onair.pc = pc;
  const stream = new MediaStream();
  for (const kind of ["video", "audio"]) pc.addTransceiver(kind, { direction: "recvonly" });
  pc.addEventListener("track", ({ track }) => stream.addTrack(track));
  const session = new RtcSession(pc, `/whep/${room}?wait=${WAIT_S}`, withStereo);
  const ended = new AbortController();
  const end = (): void => session.close();
  signal.addEventListener("abort", end);
  try {
    await session.open(OPEN_MS);
    await session.connected(PATH_MS);
    video.srcObject = stream;
    throw await Promise.race([session.lost, watchFlow(pc, hooks, ended.signal)]);
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    signal.removeEventListener("abort", end);
    ended.abort();
    session.close();
    window.onair.pc = null;
    video.srcObject = null;
  }
}

/** Measures once a second; resolves with an error when a live room sends nothing for too long. */
async function watchFlow(pc: RTCPeerConnection, hooks: PlayHooks, signal: AbortSignal): Promise<Error> {
  let counters: Counters | undefined;
  let movedAt_ms = performance.now();
  while (!signal.aborted) {
    const report = await pc.getStats();
    const stats = viewerStats([...report.values()] as object[], counters);
    const now_ms = performance.now();
    const flows = stats.counters.bytes > (counters?.bytes ?? 0);
    // The clock of patience runs while the room is live: before and after, there is nothing to miss.
    const isDue = (hooks.room() ?? "live") === "live";
    if (flows || !isDue) movedAt_ms = now_ms;
    if (flows) hooks.playing();
    else if (!isDue || now_ms - movedAt_ms >= STALL_MS) hooks.stalled();
    if (now_ms - movedAt_ms >= DEAD_MS) return new Error("The picture stopped.");
    counters = stats.counters;
    const network_ms = stats.rtt_ms === undefined ? 0 : stats.rtt_ms / 2;
    const delay_ms = stats.jitter_buffer_ms === undefined ? undefined : stats.jitter_buffer_ms + network_ms;
    hooks.stats({ ...stats, delay_ms });
    await sleep(1000, signal);
  }
  return new Error("The session was closed.");
}
