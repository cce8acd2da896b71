// Saving a file. A link does it: the browser writes it to the disk as it comes, however large it is.

import { openable } from "../api/ticket.ts";
import { currentToken } from "../api/token.ts";
import * as format from "../format.ts";
import { button, linkButton } from "./button.ts";
import { h } from "./dom.ts";

/** Builds the control that saves `url`, a file of `room`, as `name`; `failed` is told when that did not begin. */
export function downloadButton(url: string, room: string, name: string, bytes: number, failed: (error: unknown) => void): HTMLElement {
  const label = `Download MP4 (${format.byteSize(bytes)})`;
  if (currentToken() === undefined) {
    const link = linkButton(label, { icon: "download", kind: "primary" }, url);
    link.download = name;
    return link;
  }
  // Links carry no token: the ticket is fetched when it is needed, for it does not last.
  const save = button(label, { icon: "download", kind: "primary" }, () => {
    save.disabled = true;
    saveFile(url, room, name)
      .catch(failed)
      .finally(() => (save.disabled = false));
  });
  return save;
}

/** Saves `url`, a file of `room`, as `name`, where no link stands on the page for it. */
export async function saveFile(url: string, room: string, name: string): Promise<void> {
  h("a", { href: await openable(url, room), download: name }).click();
}
