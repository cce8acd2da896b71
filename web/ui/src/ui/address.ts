// A URL as text that breaks where a reader would break it.

import { h } from "./dom.ts";

/** Shows `url` in full; lines may break after a slash. */
export function address(url: string): HTMLElement {
  const parts = url.split(/(?<=[^/]\/)(?!\/)/);
  return h("p", { class: "address" }, h("code", {}, ...parts.flatMap((part, i) => (i === 0 ? [part] : [h("wbr"), part]))));
}
