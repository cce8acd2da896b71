// Starts the pages: one frame, and inside it the page that the address names.

import { allowTokenPrompt, setTokenPrompt } from "./api/client.ts";
import { notFoundPage } from "./pages/not_found.ts";
import { publishPage } from "./pages/publish.ts";
import { recordingPage } from "./pages/recording.ts";
import { recordingsPage } from "./pages/recordings.ts";
import { roomsPage } from "./pages/rooms.ts";
import { watchPage } from "./pages/watch.ts";
import { matchRoute, type Route } from "./router.ts";
import { askToken, confirmAction } from "./ui/dialogs.ts";
import { h } from "./ui/dom.ts";
import { header } from "./ui/header.ts";
import { setPageState } from "./ui/status.ts";
import type { Page } from "./ui/view.ts";

let left = new AbortController();
let leaveReason: (() => string | undefined) | undefined;

const main = h("main", { id: "main", tabindex: "-1", class: "wide" });
// A new token must not end a broadcast that the old one has begun.
const bar = header(() => {
  if (!leaveReason?.()) draw();
});
const skip = h("a", { href: "#main", class: "skip" }, "Skip to content");
document.getElementById("app")?.append(skip, bar.element, main);

setTokenPrompt(askToken);
document.addEventListener("click", (event) => void followLink(event));
window.addEventListener("popstate", draw);
window.addEventListener("beforeunload", (event) => {
  if (leaveReason?.()) event.preventDefault();
});
// A page that the browser kept in memory comes back with its connections closed: start it anew.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) draw();
});
window.addEventListener("pagehide", () => left.abort());
draw();

function pageOf(route: Route): Page {
  switch (route.page) {
    case "rooms":
      return roomsPage;
    case "publish":
      return publishPage(route.room);
    case "watch":
      return watchPage(route.room);
    case "recordings":
      return recordingsPage;
    case "recording":
      return recordingPage(route.room, route.recording);
    case "not-found":
      return notFoundPage;
  }
}

function draw(): void {
  left.abort();
  left = new AbortController();
  leaveReason = undefined;
  allowTokenPrompt();
  setPageState(undefined);
  window.onair = { pc: null, hls: null };
  bar.mark(location.pathname);
  main.replaceChildren();
  pageOf(matchRoute(location.pathname))({
    main,
    signal: left.signal,
    query: new URLSearchParams(location.search),
    title: (text) => (document.title = `${text} · onair`),
    guard: (reason) => (leaveReason = reason),
    go: (path) => void go(path),
  });
}

async function go(path: string): Promise<void> {
  const reason = leaveReason?.();
  if (reason && !(await confirmAction("Leave this page?", reason, "Leave"))) return;
  history.pushState(null, "", path);
  draw();
  window.scrollTo(0, 0);
  main.focus({ preventScroll: true });
}

async function followLink(event: MouseEvent): Promise<void> {
  const link = event.target instanceof Element ? event.target.closest("a") : null;
  if (!link || event.defaultPrevented || event.button !== 0 || link.target || link.hasAttribute("download")) return;
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey || link.origin !== location.origin) return;
  if (link.hash && link.pathname === location.pathname) return;
  // Files below /recordings/… look like links of ours, but only pages are.
  if (matchRoute(link.pathname).page === "not-found") return;
  event.preventDefault();
  await go(link.pathname + link.search);
}
