// What the server says about a room, in a few words and, for who wants them, in all.

import type { HlsState, RoomDetails, RoomRecordingState, RoomSummary } from "../api/types.ts";
import * as format from "../format.ts";
import { fill, h, setText } from "./dom.ts";
import { facts } from "./facts.ts";

export interface RoomFacts {
  element: HTMLElement;
  /** Everything the room's actors say, folded away. */
  details: HTMLElement;
  /** Null or undefined: the room is unknown or the server does not answer. */
  show(room: RoomDetails | null | undefined): void;
}

/** Builds the facts of `room`. Both elements hide while there is nothing to say. */
export function roomFacts(room: string): RoomFacts {
  const list = facts(`About ${room}`);
  const link = h("p", {});
  const element = h("section", { class: "panel" }, h("h2", {}, "This room"), list.element, link);
  const dump = h("pre", { tabindex: "0", "aria-label": "What the actors of the room say" });
  const details = h("details", { class: "panel" }, h("summary", {}, "Technical details"), dump);
  let linked: string | null = null;
  const show = (state: RoomDetails | null | undefined): void => {
    element.hidden = !state;
    details.hidden = state?.actors === undefined;
    setText(dump, state?.actors === undefined ? "" : JSON.stringify(state.actors, null, 2));
    list.show(state ? shown(state) : {});
    const recording = state?.recording.recording ?? null;
    if (recording === linked) return;
    linked = recording;
    fill(link, recording !== null && h("a", { href: `/recordings/${room}/${recording}` }, "See the recording"));
  };
  show(undefined);
  return { element, details, show };
}

function shown(state: RoomDetails): Record<string, string | undefined> {
  return {
    Viewers: viewersOf(state),
    "Live for": liveFor(state),
    HLS: hlsOf(state),
    Recording: recordingOf(state),
  };
}

/** How many watch, and how. */
export function viewersOf({ viewers }: RoomSummary): string {
  const total = viewers.whep + viewers.hls;
  if (viewers.whep === 0 || viewers.hls === 0) return String(total);
  return `${total} (${viewers.whep} real\u00a0time, ${viewers.hls}\u00a0HLS)`;
}

/** How long the broadcast has been going on; undefined while there is none. */
export function liveFor({ live_since }: RoomSummary): string | undefined {
  return live_since ? format.elapsed(Date.now() - Date.parse(live_since)) : undefined;
}

/** What becomes of the recording; undefined when there was no broadcast to record. */
export function recordingOf({ state, recording }: RoomSummary): string | undefined {
  const words: Record<RoomRecordingState, string> = {
    off: "off",
    starting: "starting",
    recording: "on",
    finishing: "being stored",
    stored: "stored",
    failed: "failed",
    unavailable: "not possible",
  };
  if (recording.state === "off" && state === "idle") return undefined;
  return withReason(words[recording.state] ?? recording.state, recording.reason);
}

function hlsOf({ hls }: RoomSummary): string | undefined {
  const words: Record<HlsState, string | undefined> = {
    off: undefined,
    starting: "starting",
    ready: "ready",
    ended: undefined,
    unavailable: "not possible",
  };
  const word = hls.state in words ? words[hls.state] : hls.state;
  return word && withReason(word, hls.reason);
}

function withReason(word: string, reason: string | null): string {
  return reason ? `${word}: ${reason}` : word;
}
