// What the server says about a room, in a few words and, for who wants them, in all.

import type { RoomDetails, RoomSummary } from "../api/types.ts";
import * as format from "../format.ts";
import { h, setText } from "./dom.ts";
import { facts } from "./facts.ts";

export interface RoomFacts {
  element: HTMLElement;
  /** Undefined: the room is unknown or the server does not answer. */
  show(room: RoomDetails | undefined): void;
}

/** Builds the facts of `room` with its technical details folded away. */
export function roomFacts(room: string): RoomFacts {
  const list = facts(`About ${room}`);
  const dump = h("pre", { tabindex: "0" });
  const details = h("details", { class: "panel" }, h("summary", {}, "Technical details"), dump);
  details.hidden = true;
  const show = (state: RoomDetails | undefined): void => {
    list.show({
      Viewers: state ? viewersOf(state) : undefined,
      "Live since": state?.live_since ? format.localTime(state.live_since) : undefined,
      HLS: state ? hlsOf(state) : undefined,
      Recording: state ? recordingOf(state) : undefined,
    });
    details.hidden = state?.actors === undefined;
    setText(dump, state?.actors === undefined ? "" : JSON.stringify(state.actors, null, 2));
  };
  return { element: h("div", { class: "about" }, list.element, details), show };
}

/** How many watch, and how. */
export function viewersOf({ viewers }: RoomSummary): string {
  const total = viewers.whep + viewers.hls;
  if (viewers.whep === 0 || viewers.hls === 0) return format.count(total, "viewer");
  return `${format.count(total, "viewer")} (${viewers.whep} real time, ${viewers.hls} HLS)`;
}

/** Whether the room is recorded, or why not. */
export function recordingOf({ recording }: RoomSummary): string {
  const words = { recording: "recording", off: "off", unavailable: "unavailable", finishing: "finishing" };
  const word = words[recording.state] ?? recording.state;
  return recording.reason ? `${word}: ${recording.reason}` : word;
}

function hlsOf({ hls }: RoomSummary): string {
  return hls.reason ? `${hls.state}: ${hls.reason}` : hls.state;
}
