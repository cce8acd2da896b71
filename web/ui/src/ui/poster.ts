// The picture that stands for a recording.

import { openable } from "../api/ticket.ts";
import type { RecordingSummary } from "../api/types.ts";
import { h } from "./dom.ts";
import { icon } from "./icons.ts";

/** Resolves with where an image finds the poster; with nothing where there is none, or it may not be seen. */
export async function posterUrl(room: string, recording: string, objects: string[]): Promise<string | undefined> {
  if (!objects.includes("poster.jpg")) return undefined;
  return openable(`/recordings/${room}/${recording}/poster.jpg`, room).catch(() => undefined);
}

/** A frame of fixed proportions with the poster in it, or a symbol. */
export function thumbnail({ room, recording, objects }: RecordingSummary): HTMLElement {
  const frame = h("span", { class: "thumb" }, icon("film"));
  void posterUrl(room, recording, objects ?? []).then((src) => {
    if (src === undefined) return;
    // The row says in words what it is.
    const image = h("img", { src, alt: "", loading: "lazy", decoding: "async" });
    image.addEventListener("error", () => image.remove());
    frame.append(image);
  });
  return frame;
}
