// Playing a recording: its HLS playlist first, for that carries the token and starts quickly; the MP4
// where that fails.

import { openable } from "../api/ticket.ts";
import { startHls } from "./hls.ts";

/** Plays a recording of `room` whose objects stand below `objects`. Throws when neither form of it can be played. */
export async function playRecording(objects: string, room: string, video: HTMLVideoElement, signal: AbortSignal): Promise<void> {
  const reason = await playHls(`${objects}/index.m3u8`, room, video, signal).catch((error: unknown) => error);
  if (signal.aborted || reason === undefined) return;
  await playFile(await openable(`${objects}/recording.mp4`, room), video, video.currentTime);
}

/** Resolves with what stopped the playback, or with nothing when the user left. */
async function playHls(url: string, room: string, video: HTMLVideoElement, signal: AbortSignal): Promise<Error | undefined> {
  const playback = await startHls(url, room, video, "recording");
  const left = new Promise<undefined>((resolve) => signal.addEventListener("abort", () => resolve(undefined)));
  if (signal.aborted) {
    playback.stop();
    return undefined;
  }
  return Promise.race([playback.failed, left]).finally(() => playback.stop());
}

function playFile(url: string, video: HTMLVideoElement, position_s: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = new AbortController();
    const once = (event: string, act: () => void): void => {
      video.addEventListener(event, () => (settle.abort(), act()), { signal: settle.signal });
    };
    once("loadedmetadata", () => {
      video.currentTime = position_s;
      resolve();
    });
    once("error", () => reject(new Error("Neither the stream nor the MP4 of this recording could be played. Download it instead, or try again later.")));
    video.src = url;
  });
}
