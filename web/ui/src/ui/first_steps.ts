// How a broadcast begins, for who has never done it here.

import { address } from "./address.ts";
import { copyButton } from "./button.ts";
import { h } from "./dom.ts";

/** Explains the three ways to a first broadcast; folded away unless `isOpen`. */
export function firstSteps(isOpen: boolean): HTMLElement {
  const whip = `${location.origin}/whip/studio-1`;
  return h(
    "details",
    { class: "steps", open: isOpen },
    h("summary", {}, h("h2", {}, "How to start a broadcast")),
    h(
      "ul",
      {},
      h("li", { class: "panel" }, h("h3", {}, "From this browser"), h("p", {}, "Type a room name above and press Publish. Camera and microphone stay off until you allow them.")),
      h(
        "li",
        { class: "panel" },
        h("h3", {}, "From OBS"),
        h("p", {}, "In Settings → Stream choose the service WHIP and enter this server. The last part is the room."),
        address(whip),
        h("p", { class: "actions" }, copyButton("Copy", () => whip)),
      ),
      h("li", { class: "panel" }, h("h3", {}, "A test picture"), h("p", {}, "Start the server with ", h("code", {}, "onair demo"), " and it broadcasts to itself, into the room demo.")),
    ),
  );
}
