// What to do on a server where nothing has happened yet.

import { copyButton } from "./button.ts";
import { h } from "./dom.ts";

/** Explains the three ways to a first broadcast. */
export function firstSteps(): HTMLElement {
  const whip = `${location.origin}/whip/studio-1`;
  return h(
    "section",
    { class: "steps", "aria-label": "Getting started" },
    h("h2", {}, "Start a broadcast"),
    h(
      "ul",
      {},
      h("li", { class: "panel" }, h("h3", {}, "From this browser"), h("p", {}, "Type a room name above and press Publish. Camera and microphone stay off until you allow them.")),
      h(
        "li",
        { class: "panel" },
        h("h3", {}, "From OBS"),
        h("p", {}, "In Settings → Stream choose the service WHIP and enter this server. The last part is the room."),
        h("p", { class: "copy-line" }, h("code", {}, whip), copyButton("Copy", () => whip)),
      ),
      h("li", { class: "panel" }, h("h3", {}, "A test picture"), h("p", {}, "Start the server with ", h("code", {}, "onair demo"), " and it broadcasts to itself, into the room demo.")),
    ),
  );
}
