// The bar on top of every page.

import { currentToken, keepToken } from "../api/token.ts";
import { button } from "./button.ts";
import { askToken } from "./dialogs.ts";
import { h } from "./dom.ts";
import { icon } from "./icons.ts";

export interface Header {
  element: HTMLElement;
  /** Marks the entry that `pathname` belongs to. */
  mark(pathname: string): void;
}

/** Builds the bar; `tokenChanged` runs when the user gave or removed a token by hand. */
export function header(tokenChanged: () => void): Header {
  const rooms = h("a", { href: "/" }, "Rooms");
  const recordings = h("a", { href: "/recordings" }, "Recordings");
  const token = button("Token", { icon: "key" }, () => {
    void askToken(undefined).then((value) => {
      if (value === undefined || value === (currentToken() ?? "")) return;
      keepToken(value);
      tokenChanged();
    });
  });
  token.setAttribute("aria-label", "Access token");
  const brand = h("a", { href: "/", class: "brand" }, icon("broadcast"), h("span", {}, "onair"));
  const nav = h("nav", { "aria-label": "Pages" }, rooms, recordings);
  const element = h("header", { class: "bar" }, h("div", { class: "wide" }, brand, nav, token));
  const mark = (pathname: string): void => {
    const isRecordings = pathname.startsWith("/recordings");
    setCurrent(recordings, isRecordings);
    setCurrent(rooms, !isRecordings && pathname === "/");
  };
  return { element, mark };
}

function setCurrent(link: HTMLAnchorElement, isCurrent: boolean): void {
  if (isCurrent) link.setAttribute("aria-current", "page");
  else link.removeAttribute("aria-current");
}
