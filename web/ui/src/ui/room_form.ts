// Choosing a room by name: to publish into it or to watch it.

import { isRoomName } from "../router.ts";
import { button } from "./button.ts";
import { h, setText } from "./dom.ts";

const RULE = "1 to 64 letters, digits, dots, dashes or underscores; no dot first.";

/** Builds the form; `go` takes the path of the page chosen. Enter means publish. */
export function roomForm(go: (path: string) => void): HTMLElement {
  const input = h("input", {
    id: "room",
    name: "room",
    autocomplete: "off",
    autocapitalize: "none",
    spellcheck: "false",
    placeholder: "studio-1",
    "aria-describedby": "room-rule",
  });
  const rule = h("p", { id: "room-rule", class: "hint" }, RULE);
  const open = (page: "publish" | "watch"): void => {
    const room = input.value.trim();
    const isGood = isRoomName(room);
    input.setAttribute("aria-invalid", String(!isGood));
    if (isGood) return go(`/${page}/${room}`);
    setText(rule, room === "" ? "Type a room name first. Any name will do: " + RULE : `“${room}” cannot be a room name: ${RULE}`);
    input.focus();
  };
  const publish = h("button", { type: "submit", class: "button primary" }, "Publish");
  const form = h(
    "form",
    { class: "panel room-form", novalidate: true },
    h("div", { class: "field" }, h("label", { for: "room" }, "Room name"), input),
    h("div", { class: "actions" }, publish, button("Watch", {}, () => open("watch"))),
    rule,
  );
  rule.setAttribute("aria-live", "polite");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    open("publish");
  });
  return form;
}
