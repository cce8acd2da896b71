// Watching a room for as long as the page is open: in real time first, by HLS where that fails, again
// after every loss, and patiently while nothing is broadcast.

import { ApiError, describe } from "../api/problem.ts";
import { backoffMs, sleep } from "../backoff.ts";
import { NoPathError } from "../rtc/session.ts";
import type { PageState } from "../ui/status.ts";
import type { PlayHooks } from "./hooks.ts";
import { playLiveHls } from "./live_hls.ts";
import { playWhep } from "./whep.ts";

export type Transport = "whep" | "hls";

export interface ViewerHooks extends Pick<PlayHooks, "stats" | "room"> {
  state(state: PageState, sentence: string): void;
  /** The transport in use has changed because the first choice failed, and why. */
  fellBack(to: Transport, reason: string): void;
}

export interface ViewerWish {
  transport: Transport;
  /** Without it a transport that fails is tried again and never replaced. */
  mayFallBack: boolean;
}

const WAIT_MS = 2000;
/** A server may ask for a longer pause than viewers have patience for. */
const LONGEST_WAIT_MS = 10_000;

/** Watches `room` until `signal` aborts. Throws what trying again cannot mend. */
export async function watchRoom(room: string, video: HTMLVideoElement, wish: ViewerWish, hooks: ViewerHooks, signal: AbortSignal): Promise<void> {
  let { transport } = wish;
  let failures = 0;
  let hasPlayed = false;
  const wait = (): void => hooks.state("waiting", hasPlayed ? ENDED : WAITING);
  hooks.state("connecting", "Connecting…");
  while (!signal.aborted) {
    const play = transport === "whep" ? playWhep : playLiveHls;
    const playHooks: PlayHooks = {
      stats: hooks.stats,
      room: hooks.room,
      playing: () => {
        [failures, hasPlayed] = [0, true];
        hooks.state("playing", transport === "whep" ? "Playing in real time." : "Playing by HLS.");
      },
      stalled: () => {
        const room = hooks.room();
        if (room === "idle") wait();
        else hooks.state("reconnecting", room === "reconnecting" ? BROKEN : "The picture stopped. Waiting for it to go on…");
      },
    };
    try {
      await play(room, video, playHooks, signal);
      if (signal.aborted) return;
      wait();
      await sleep(WAIT_MS, signal);
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ApiError && error.isNotLive) {
        if (hooks.room() === "live") hooks.state("waiting", "The stream is being prepared. It starts here in a moment.");
        else wait();
        await sleep(Math.min((error.retryAfter_s ?? 0) * 1000 || WAIT_MS, LONGEST_WAIT_MS), signal);
      } else if (transport === "whep" && wish.mayFallBack && isForHls(error)) {
        transport = "hls";
        hooks.fellBack(transport, describe(error));
      } else if (isFinal(error)) {
        throw error;
      } else {
        // Nothing is lost in a room that is idle: its server ended a session that had waited in vain.
        const isIdle = hooks.room() === "idle";
        const pause_ms = isIdle ? WAIT_MS : backoffMs(failures++);
        if (isIdle) wait();
        else hooks.state("reconnecting", `${describe(error)} Trying again in ${pause_ms / 1000} s.`);
        await sleep(pause_ms, signal);
      }
    }
  }
}

const WAITING = "Waiting for the broadcast to begin. It starts here by itself.";
const ENDED = "The broadcast has ended. The next one starts here by itself.";
const BROKEN = "The broadcaster's connection broke. The picture returns when they do.";

/** No path for media, no common codec, no WebRTC at all: HLS may still do. */
function isForHls(error: unknown): boolean {
  if (error instanceof ApiError) return !error.isPassing && !error.isRefused;
  return error instanceof NoPathError || error instanceof ReferenceError || error instanceof DOMException;
}

function isFinal(error: unknown): boolean {
  return error instanceof ApiError && !error.isPassing;
}
