// Tracks and gaps of a recording as tables.

import type { Manifest, Track } from "../api/types.ts";
import * as format from "../format.ts";
import { h } from "./dom.ts";

/** One line for each track. */
export function trackList(tracks: Track[]): HTMLElement {
  const rows = tracks.map((track) => {
    const picture = format.resolution(track.width, track.height);
    const sound = track.sample_rate ? `${track.sample_rate / 1000} kHz, ${format.count(track.channels ?? 1, "channel")}` : "–";
    const rate = track.frame_rate ? `, ${format.frameRate(track.frame_rate)}` : "";
    return [track.name ?? track.kind ?? "–", `${format.codecName(track.codec)} (${track.codec})`, track.height ? picture + rate : sound];
  });
  return table("Tracks", ["Track", "Codec", "Format"], rows);
}

/** Where the broadcast was interrupted; null when it never was. */
export function gapList(gaps: Manifest["gaps"]): HTMLElement | null {
  if (gaps.length === 0) return null;
  const reasons: Record<string, string> = { publisher_reconnect: "the broadcaster reconnected" };
  const rows = gaps.map((gap) => [
    format.clock(gap.start_ms),
    format.millis(gap.duration_ms),
    reasons[gap.reason] ?? gap.reason.replaceAll("_", " "),
  ]);
  return table("Gaps", ["At", "Length", "Reason"], rows);
}

function table(caption: string, columns: string[], rows: string[][]): HTMLElement {
  return h(
    "table",
    {},
    h("caption", {}, caption),
    h("thead", {}, h("tr", {}, ...columns.map((column) => h("th", { scope: "col" }, column)))),
    h("tbody", {}, ...rows.map((cells) => h("tr", {}, ...cells.map((cell) => h("td", {}, cell))))),
  );
}
