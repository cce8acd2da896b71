// Playing HLS: hls.js where the browser has Media Source Extensions, the browser itself where not.

import type HlsType from "hls.js";
import type { ErrorData } from "hls.js";
import { openable } from "../api/ticket.ts";
import { authHeaders, isOwnServer } from "../api/token.ts";

/** How often a decoder may be helped up again before the playback counts as failed. */
const MEDIA_RECOVERIES = 3;

export interface HlsPlayback {
  /** Undefined when the browser plays by itself. */
  hls: HlsType | undefined;
  /** Resolves with the reason when playback cannot go on. */
  failed: Promise<Error>;
  stop(): void;
}

export type HlsMode = "live" | "recording";

/** Begins to play the playlist at `url`, which is one of `room`, into `video`. Throws when the browser has no way to play HLS. */
export async function startHls(url: string, room: string, video: HTMLVideoElement, mode: HlsMode): Promise<HlsPlayback> {
  const { default: Hls } = await import("hls.js");
  if (Hls.isSupported()) return withHlsJs(new Hls(config(mode)), Hls, url, video);
  if (video.canPlayType("application/vnd.apple.mpegurl") !== "") return byItself(await openable(url, room), video);
  throw new Error("This browser cannot play HLS. Use a current Firefox, Chrome, Edge or Safari.");
}

function config(mode: HlsMode) {
  return {
    lowLatencyMode: mode === "live",
    // Segments are fragmented MP4 already: there is nothing to convert off the main thread, and a
    // worker made of a blob would need a wider content security policy.
    enableWorker: false,
    backBufferLength: mode === "live" ? 30 : 90,
    // Where a player begins is up to a second behind where it could be: it makes up for that while more than a second
    // is in its buffer, so slowly that nobody hears it.
    maxLiveSyncPlaybackRate: 1.05,
    ...(mode === "recording" ? { startPosition: 0 } : {}),
    xhrSetup: (xhr: XMLHttpRequest, url: string): void => {
      if (!isOwnServer(url)) return; // a signed URL of the object store carries its own permission
      for (const [name, value] of Object.entries(authHeaders())) xhr.setRequestHeader(name, value);
    },
  };
}

function withHlsJs(hls: HlsType, Hls: typeof HlsType, url: string, video: HTMLVideoElement): HlsPlayback {
  let recoveries = 0;
  window.onair.hls = hls;
  const failed = new Promise<Error>((resolve) => {
    hls.on(Hls.Events.ERROR, (_event, data: ErrorData) => {
      if (!data.fatal) return;
      if (data.type === Hls.ErrorTypes.MEDIA_ERROR && recoveries++ < MEDIA_RECOVERIES) return hls.recoverMediaError();
      resolve(new Error(explain(data)));
    });
  });
  hls.attachMedia(video);
  hls.loadSource(url);
  const stop = (): void => {
    hls.destroy();
    window.onair.hls = null;
  };
  return { hls, failed, stop };
}

function byItself(url: string, video: HTMLVideoElement): HlsPlayback {
  const failed = new Promise<Error>((resolve) => {
    video.addEventListener("error", () => resolve(new Error("The stream could not be played.")), { once: true });
  });
  video.src = url;
  const stop = (): void => {
    video.removeAttribute("src");
    video.load();
  };
  return { hls: undefined, failed, stop };
}

function explain(data: ErrorData): string {
  const status = data.response?.code;
  if (status) return `The stream stopped: the server answered ${status}.`;
  return data.type === "networkError" ? "The stream stopped: the server does not answer." : `The stream cannot be played (${data.details}).`;
}
