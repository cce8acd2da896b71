// The picture that stands for a recording.

import type { RecordingSummary } from "../api/types.ts";
import { currentToken } from "../api/token.ts";
import { h } from "./dom.ts";
import { icon } from "./icons.ts";

/** Returns where the poster is; nothing where there is none, or where a token is needed, which no image can show. */
export function posterUrl(room: string, recording: string, objects: string[]): string | undefined {
  const isThere = objects.includes("poster.jpg") && currentToken() === undefined;
  return isThere ? `/recordings/${room}/${recording}/poster.jpg` : undefined;
}

/** A frame of fixed proportions with the poster in it, or a symbol. */
export function thumbnail({ room, recording, objects }: RecordingSummary): HTMLElement {
  const src = posterUrl(room, recording, objects ?? []);
  const frame = h("span", { class: "thumb" }, icon("film"));
  if (src === undefined) return frame;
  // The row says in words what it is.
  const image = h("img", { src, alt: "", loading: "lazy", decoding: "async" });
  image.addEventListener("error", () => image.remove());
  frame.append(image);
  return frame;
}
