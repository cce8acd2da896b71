// Watching a live room by HLS: waits for the playlist, plays it, notices when it stands still.

import { request } from "../api/client.ts";
import { ApiError } from "../api/problem.ts";
import { sleep } from "../backoff.ts";
import type { StreamStats } from "../rtc/stats.ts";
import type { PlayHooks } from "./hooks.ts";
import { startHls, type HlsPlayback } from "./hls.ts";

const STALL_MS = 3000;
/** Longer than a few segments: a first picture that has not come by then does not come. */
const START_MS = 20_000;
/** Players run several segments behind. One that has used them up and waits this long as well is stuck. */
const DEAD_MS = 8000;

/**
 * Plays `room` into `video` until `signal` aborts. Throws an `ApiError` with `isNotLive` while there is
 * nothing to play, another error when playback broke; resolves when the stream has ended.
 */
export async function playLiveHls(room: string, video: HTMLVideoElement, hooks: PlayHooks, signal: AbortSignal): Promise<void> {
  const url = `/hls/${room}/index.m3u8`;
  // The last segments stay listed for a while after the end: playing them again would be a loop.
  if (hooks.room() === "idle") throw new ApiError(404, "room_not_live", "The room is not live");
  await untilListed(url, signal);
  const playback = await startHls(url, room, video, "live");
  const ended = new AbortController();
  const stop = (): void => ended.abort();
  signal.addEventListener("abort", stop);
  try {
    if (signal.aborted) return;
    // A refusal to start with sound is answered by the page's play button.
    video.play().catch(() => undefined);
    const reason = await Promise.race([playback.failed, watchFlow(video, playback, hooks, ended.signal)]);
    if (reason && !signal.aborted) throw reason;
  } finally {
    signal.removeEventListener("abort", stop);
    ended.abort();
    playback.stop();
  }
}

async function untilListed(url: string, signal: AbortSignal): Promise<void> {
  try {
    await request(url, { signal });
  } catch (error) {
    const isMissing = error instanceof ApiError && error.status === 404;
    throw isMissing ? new ApiError(404, "room_not_live", error.message, error.detail, error.retryAfter_s) : error;
  }
}

/** Resolves with nothing at the end of the stream, with an error when a live stream stands still. */
async function watchFlow(video: HTMLVideoElement, playback: HlsPlayback, hooks: PlayHooks, signal: AbortSignal): Promise<Error | undefined> {
  let position_s = video.currentTime;
  let movedAt_ms = performance.now();
  let patience_ms = START_MS;
  while (!signal.aborted && !video.ended) {
    await sleep(1000, signal);
    const now_ms = performance.now();
    if (video.currentTime !== position_s || video.paused) {
      position_s = video.currentTime;
      movedAt_ms = now_ms;
      if (!video.paused) {
        hooks.playing();
        patience_ms = DEAD_MS;
      }
    }
    const still_ms = now_ms - movedAt_ms;
    if (still_ms >= STALL_MS) hooks.stalled();
    if (still_ms >= STALL_MS && hooks.room() === "idle") return undefined;
    if (still_ms >= patience_ms && hooks.room() !== "reconnecting") return new Error("The stream stopped.");
    hooks.stats(measure(video, playback));
  }
  return undefined;
}

function measure(video: HTMLVideoElement, { hls }: HlsPlayback): StreamStats & { delay_ms: number | undefined } {
  const level = hls?.levels[hls.currentLevel];
  const latency_s = hls?.latency;
  return {
    bitrate_bps: level?.bitrate || undefined, // 0: the playlist does not say
    frame_rate: level?.frameRate || undefined,
    width: video.videoWidth,
    height: video.videoHeight,
    rtt_ms: undefined,
    loss: undefined,
    jitter_buffer_ms: undefined,
    codecs: [level?.videoCodec, level?.audioCodec].flatMap((codec) => codec ?? []),
    limitation: undefined,
    counters: { bytes: 0, packets: 0, lost: 0, at_ms: 0 },
    delay_ms: latency_s ? latency_s * 1000 : undefined,
  };
}
