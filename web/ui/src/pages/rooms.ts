// The first page: who is live, and the way to go live.

import { getJson } from "../api/client.ts";
import type { RoomSummary } from "../api/types.ts";
import { fill, h, setText } from "../ui/dom.ts";
import { failure } from "../ui/notice.ts";
import { poll } from "../ui/poll.ts";
import { roomCard, type RoomCard } from "../ui/room_card.ts";
import { roomForm } from "../ui/room_form.ts";
import { firstSteps } from "../ui/first_steps.ts";
import type { View } from "../ui/view.ts";

/** Lists the rooms and keeps the list fresh. */
export function roomsPage(view: View): void {
  view.title("Rooms");
  const summary = h("p", { class: "hint", role: "status" }, "Looking for rooms…");
  const list = h("ul", { class: "cards", "aria-label": "Rooms" });
  const rest = h("div", {});
  view.main.append(
    h("div", { class: "headline" }, h("div", {}, h("h1", {}, "Rooms"), summary)),
    roomForm(view.go),
    list,
    rest,
  );
  const cards = new Map<string, RoomCard>();
  // Undefined: the steps are not shown, an error is, or nothing yet.
  let hadRooms: boolean | undefined;
  const showRooms = (rooms: RoomSummary[]): void => {
    const live = rooms.filter(({ state }) => state !== "idle").length;
    setText(summary, live === 0 ? "Nothing is live right now." : `${live} live now.`);
    arrange(list, cards, rooms);
    const hasRooms = rooms.length > 0;
    if (hadRooms === hasRooms) return;
    hadRooms = hasRooms;
    fill(rest, firstSteps(!hasRooms));
  };
  const refresh = async (): Promise<void> => {
    try {
      showRooms((await getJson<{ rooms: RoomSummary[] }>("/api/rooms", view.signal)).rooms);
    } catch (error) {
      if (view.signal.aborted) return;
      setText(summary, "The list of rooms could not be loaded.");
      arrange(list, cards, []);
      // Drawn once, not at every try: it is read out, and its button keeps the focus.
      if (hadRooms !== undefined || rest.childElementCount === 0) fill(rest, failure(error, () => void refresh()));
      hadRooms = undefined;
    }
  };
  void poll(2000, view.signal, refresh);
}

/** Live rooms first, then by name; cards stay the same elements so that focus survives the refresh. */
function arrange(list: HTMLElement, cards: Map<string, RoomCard>, rooms: RoomSummary[]): void {
  const sorted = [...rooms].sort(
    (a, b) => Number(a.state === "idle") - Number(b.state === "idle") || a.room.localeCompare(b.room),
  );
  const names = new Set(rooms.map(({ room }) => room));
  for (const [name, card] of cards) {
    if (names.has(name)) continue;
    card.element.remove();
    cards.delete(name);
  }
  sorted.forEach((room, at) => {
    const card = cards.get(room.room) ?? roomCard(room.room);
    cards.set(room.room, card);
    card.show(room);
    if (list.children[at] !== card.element) list.insertBefore(card.element, list.children[at] ?? null);
  });
}
