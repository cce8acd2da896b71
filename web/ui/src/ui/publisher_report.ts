// What the server finds wrong with a broadcast, and which setting mends it.

import type { Finding } from "../api/types.ts";
import { fill, h } from "./dom.ts";

export interface PublisherReport {
  element: HTMLElement;
  /** Hides while there is nothing to say. */
  show(findings: Finding[]): void;
}

/** A list that is read out when something is added to it; figures alone change nothing that is read out again. */
export function publisherReport(): PublisherReport {
  const list = h("ul", { class: "findings", "aria-live": "polite", "aria-relevant": "additions" });
  const element = h("section", { class: "panel", id: "report", hidden: true }, h("h2", {}, "What to improve"), list);
  let shown = "";
  const show = (findings: Finding[]): void => {
    element.hidden = findings.length === 0;
    const names = findings.map(({ code, track }) => `${track} ${code}`).join();
    if (names === shown) return;
    shown = names;
    fill(list, ...findings.map(({ detail, advice }) => h("li", {}, h("p", {}, detail), h("p", { class: "hint" }, advice))));
  };
  return { element, show };
}
