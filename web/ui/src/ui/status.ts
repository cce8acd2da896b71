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

/**
 * A line that is read out when it changes, and that sets the state of the page. States named in `short`
 * show only that word, for a page whose picture carries the sentence; the sentence is still what is read out.
 */
export function statusLine(state: PageState, sentence: string, short: Partial<Record<PageState, string>> = {}): StatusLine {
  const seen = h("span");
  const read = h("span", { class: "unseen" });
  const element = h("p", { class: "status", role: "status" }, h("span", { class: "dot" }), seen, read);
  const show = (next: PageState, words: string): void => {
    element.dataset["state"] = next;
    setPageState(next);
    const word = short[next];
    setText(seen, word ?? words);
    setText(read, word === undefined ? "" : words);
    seen.ariaHidden = word === undefined ? null : "true";
  };
  show(state, sentence);
  return { element, show };
}
