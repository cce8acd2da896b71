// The state of a broadcast or of playback: one word for machines, one sentence for people.

import { h, setText } from "./dom.ts";

export type PageState =
  | "idle"
  | "connecting"
  | "live"
  | "waiting"
  | "playing"
  | "reconnecting"
  | "ended"
  | "error";

/** Writes the state where style sheets and tests find it: `<html data-state="…">`. */
export function setPageState(state: PageState | undefined): void {
  if (state === undefined) delete document.documentElement.dataset["state"];
  else document.documentElement.dataset["state"] = state;
}

export interface StatusLine {
  element: HTMLElement;
  show(state: PageState, sentence: string): void;
}

/** A line that is read out when it changes, and that sets the state of the page. */
export function statusLine(state: PageState, sentence: string): StatusLine {
  const text = h("span", {}, "");
  const element = h("p", { class: "status", role: "status" }, h("span", { class: "dot" }), text);
  const show = (next: PageState, words: string): void => {
    element.dataset["state"] = next;
    setPageState(next);
    setText(text, words);
  };
  show(state, sentence);
  return { element, show };
}
