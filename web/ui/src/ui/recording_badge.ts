// The state of a recording as a badge.

import type { RecordingState } from "../api/types.ts";
import { h } from "./dom.ts";

/** Names the state where it is worth a word; a complete recording needs none. */
export function stateBadge(state: RecordingState): HTMLElement | null {
  if (state === "complete") return null;
  const text = state === "live" ? "Still recording" : "Recovered";
  return h("span", { class: "badge", "data-state": state }, text);
}
