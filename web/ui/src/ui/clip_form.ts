// Saving some time of a recording as a file of its own.

import { request } from "../api/client.ts";
import { describe } from "../api/problem.ts";
import * as format from "../format.ts";
import { button } from "./button.ts";
import { h, setText } from "./dom.ts";
import { saveFile } from "./download.ts";

const RULE = "Minutes and seconds, such as 1:02.5. An empty field means the beginning or the end.";

/** Builds the form; `url` makes clips of `room`, `name` begins the name of the file, `position_s` is where the player is. */
export function clipForm(url: string, room: string, name: string, position_s: () => number): HTMLElement {
  const rule = h("p", { id: "clip-rule", class: "hint", "aria-live": "polite" }, RULE);
  const from = timeField("from", "From", position_s);
  const to = timeField("to", "To", position_s);
  const download = h("button", { type: "submit", class: "button plain" }, "Download clip");
  const form = h(
    "form",
    { class: "panel clip", novalidate: true, "aria-label": "Clip" },
    h("h2", {}, "Clip"),
    h("div", { class: "field" }, h("label", { for: from.input.id }, "From"), h("div", {}, from.input, from.now)),
    h("div", { class: "field" }, h("label", { for: to.input.id }, "To"), h("div", {}, to.input, to.now)),
    rule,
    h("p", { class: "actions" }, download),
  );
  const refuse = (input: HTMLInputElement, text: string): void => {
    input.setAttribute("aria-invalid", "true");
    setText(rule, text);
    input.focus();
  };
  const forgive = (): void => {
    for (const { input } of [from, to]) input.removeAttribute("aria-invalid");
    setText(rule, RULE);
  };
  const save = async (): Promise<void> => {
    forgive();
    for (const { input } of [from, to]) {
      const isGood = input.value.trim() === "" || format.parsePosition(input.value) !== undefined;
      if (!isGood) return refuse(input, `“${input.value}” is no time. ${RULE}`);
    }
    const [begin_s, end_s] = [format.parsePosition(from.input.value) ?? 0, format.parsePosition(to.input.value)];
    if (end_s !== undefined && end_s <= begin_s) return refuse(to.input, "The clip has to end after it begins.");
    const query = new URLSearchParams({ from: begin_s.toFixed(3), download: "1" });
    if (end_s !== undefined) query.set("to", end_s.toFixed(3));
    download.disabled = true;
    setText(rule, "Making the clip…");
    try {
      // A link cannot say what is wrong, so one byte is asked for first.
      await request(`${url}?${query}`, { headers: { Range: "bytes=0-0" } });
      const end = end_s === undefined ? "end" : String(end_s);
      await saveFile(`${url}?${query}`, room, `${name}-${begin_s}-${end}.mp4`);
      setText(rule, RULE);
    } catch (error) {
      setText(rule, describe(error));
    } finally {
      download.disabled = false;
    }
  };
  form.addEventListener("input", forgive);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void save();
  });
  return form;
}

function timeField(id: string, label: string, position_s: () => number): { input: HTMLInputElement; now: HTMLButtonElement } {
  const input = h("input", { id: `clip-${id}`, autocomplete: "off", placeholder: id === "from" ? "beginning" : "end", "aria-describedby": "clip-rule" });
  const now = button("Now", {}, () => {
    input.value = format.position(position_s());
    input.dispatchEvent(new Event("input", { bubbles: true }));
  });
  now.setAttribute("aria-label", `Now: set “${label}” to the current time`);
  return { input, now };
}
