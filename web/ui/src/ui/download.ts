// Saving a file. A link does it, unless the server wants a token, which links cannot carry.

import { request } from "../api/client.ts";
import { currentToken } from "../api/token.ts";
import * as format from "../format.ts";
import { button, linkButton, relabel } from "./button.ts";
import { h } from "./dom.ts";

/** Builds the control that saves `url` as `name`; `failed` is told when that did not work. */
export function downloadButton(url: string, name: string, bytes: number, failed: (error: unknown) => void): HTMLElement {
  const label = `Download MP4 (${format.byteSize(bytes)})`;
  if (currentToken() === undefined) {
    const link = linkButton(label, { icon: "download", kind: "primary" }, url);
    link.download = name;
    return link;
  }
  const save = button(label, { icon: "download", kind: "primary" }, () => {
    save.disabled = true;
    relabel(save, "Downloading…", "download");
    fetchAndSave(url, name)
      .catch(failed)
      .finally(() => {
        save.disabled = false;
        relabel(save, label, "download");
      });
  });
  return save;
}

/** Saves `url` as `name`, where no link stands on the page for it. */
export async function saveFile(url: string, name: string): Promise<void> {
  if (currentToken() !== undefined) return fetchAndSave(url, name);
  h("a", { href: url, download: name }).click();
}

async function fetchAndSave(url: string, name: string): Promise<void> {
  const blob = await (await request(url)).blob();
  const href = URL.createObjectURL(blob);
  h("a", { href, download: name }).click();
  // The browser has taken the file by the time the next task runs, but says so nowhere.
  setTimeout(() => URL.revokeObjectURL(href), 60_000);
}
