// One room in the list.

import type { RoomSummary, Track } from "../api/types.ts";
import * as format from "../format.ts";
import { linkButton } from "./button.ts";
import { h, setText } from "./dom.ts";
import { facts } from "./facts.ts";
import { liveFor, recordingOf, viewersOf } from "./room_facts.ts";

export interface RoomCard {
  element: HTMLElement;
  show(room: RoomSummary): void;
}

/** Builds the card of the room `name`, without values yet. */
export function roomCard(name: string): RoomCard {
  const badge = h("span", { class: "badge" });
  const values = facts(`Room ${name}`);
  const watch = linkButton("Watch", { icon: "play", kind: "primary" }, `/watch/${name}`);
  const publish = linkButton("Publish", { icon: "broadcast" }, `/publish/${name}`);
  watch.setAttribute("aria-label", `Watch ${name}`);
  publish.setAttribute("aria-label", `Publish to ${name}`);
  const head = h("div", { class: "card-head" }, h("h2", {}, name), badge);
  const element = h("li", { class: "card" }, head, values.element, h("p", { class: "actions" }, watch, publish));
  const show = (room: RoomSummary): void => {
    const words = { live: "Live", reconnecting: "Reconnecting", idle: "Idle" };
    setText(badge, words[room.state] ?? room.state);
    badge.dataset["state"] = room.state;
    const isLive = room.state !== "idle";
    watch.className = isLive ? "button primary" : "button plain";
    values.show({
      Viewers: viewersOf(room),
      "Live for": liveFor(room),
      Video: trackOf(room.tracks, "video"),
      Audio: trackOf(room.tracks, "audio"),
      Recording: recordingOf(room),
    });
  };
  return { element, show };
}

function trackOf(tracks: Track[], kind: Track["kind"]): string | undefined {
  const track = tracks.find((one) => one.kind === kind);
  if (!track) return undefined;
  const parts = [format.codecName(track.codec)];
  if (track.height) parts.push(`${track.height}p${track.frame_rate ? Math.round(track.frame_rate) : ""}`);
  if (track.channels) parts.push(track.channels === 1 ? "mono" : track.channels === 2 ? "stereo" : `${track.channels} ch`);
  if (track.bitrate_bps) parts.push(format.bitrate(track.bitrate_bps));
  return parts.join(" · ");
}
