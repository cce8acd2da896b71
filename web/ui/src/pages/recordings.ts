// What was recorded, newest first.

import { getJson } from "../api/client.ts";
import type { RecordingSummary } from "../api/types.ts";
import * as format from "../format.ts";
import { isRoomName } from "../router.ts";
import { button, linkButton } from "../ui/button.ts";
import { fill, h, setText } from "../ui/dom.ts";
import { failure, notice } from "../ui/notice.ts";
import { thumbnail } from "../ui/poster.ts";
import { stateBadge } from "../ui/recording_badge.ts";
import type { View } from "../ui/view.ts";

const PAGE = 24;

interface RecordingsPage {
  recordings: RecordingSummary[];
  next: string | null;
}

/** Lists the recordings, of one room with `?room=`. */
export function recordingsPage(view: View): void {
  const room = view.query.get("room") ?? "";
  view.title(room ? `Recordings of ${room}` : "Recordings");
  const summary = h("p", { class: "hint", role: "status" }, "Looking for recordings…");
  const list = h("ul", { class: "rows", "aria-label": "Recordings" });
  const rest = h("div", { class: "rest" });
  view.main.append(
    h("div", { class: "headline" }, h("div", {}, h("h1", {}, "Recordings"), summary)),
    filterForm(room, view),
    list,
    rest,
  );
  let shown = 0;
  const load = async (cursor: string | null): Promise<void> => {
    fill(rest, h("p", { class: "hint" }, "Loading…"));
    try {
      const page = await getJson<RecordingsPage>(listUrl(room, cursor), view.signal);
      const rows = page.recordings.map(row);
      list.append(...rows);
      shown += rows.length;
      setText(summary, shown === 0 ? "None yet." : `${format.count(shown, "recording")}${page.next ? " so far" : ""}.`);
      fill(rest, page.next ? button("Load more", {}, () => void load(page.next)) : null);
      if (cursor !== null) rows[0]?.querySelector("a")?.focus();
      if (shown === 0) fill(rest, nothing(room));
    } catch (error) {
      if (view.signal.aborted) return;
      setText(summary, "The list could not be loaded.");
      fill(rest, failure(error, () => void load(cursor)));
    }
  };
  void load(null);
}

function listUrl(room: string, cursor: string | null): string {
  const query = new URLSearchParams({ limit: String(PAGE) });
  if (room) query.set("room", room);
  if (cursor) query.set("cursor", cursor);
  return `/api/recordings?${query}`;
}

function filterForm(room: string, view: View): HTMLElement {
  const input = h("input", { id: "filter", value: room, placeholder: "all rooms", autocomplete: "off", autocapitalize: "none", spellcheck: "false" });
  const form = h(
    "form",
    { class: "filter", role: "search" },
    h("div", { class: "field" }, h("label", { for: "filter" }, "Room"), input),
    h("button", { type: "submit", class: "button plain" }, "Show"),
    room !== "" && linkButton("All rooms", {}, "/recordings"),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const name = input.value.trim();
    const isGood = name === "" || isRoomName(name);
    input.setCustomValidity(isGood ? "" : "A room name has 1 to 64 letters, digits, dots, dashes or underscores, no dot first.");
    if (isGood) view.go(name === "" ? "/recordings" : `/recordings?room=${name}`);
    else input.reportValidity();
  });
  input.addEventListener("input", () => input.setCustomValidity(""));
  return form;
}

function row(recording: RecordingSummary): HTMLElement {
  const href = `/recordings/${recording.room}/${recording.recording}`;
  const codecs = recording.tracks.map(({ codec }) => format.codecName(codec)).join(", ");
  return h(
    "li",
    {},
    h(
      "a",
      { href, class: "recording" },
      thumbnail(recording),
      h("span", { class: "what" }, h("strong", {}, recording.room), h("span", {}, format.localTime(recording.start))),
      stateBadge(recording.state),
      h("span", { class: "numbers" }, h("span", {}, format.clock(recording.duration_ms)), h("span", {}, format.byteSize(recording.bytes)), h("span", {}, codecs)),
    ),
  );
}

function nothing(room: string): HTMLElement {
  if (room) return notice(`No recordings of “${room}”`, false, h("p", {}, "Check the name, or look at the recordings of all rooms."));
  return notice(
    "Nothing is recorded yet",
    false,
    h("p", {}, "Every broadcast is recorded unless the server's configuration says otherwise, and it is listed here while it goes on."),
    h("p", { class: "actions" }, linkButton("Go to the rooms", { kind: "primary" }, "/")),
  );
}
