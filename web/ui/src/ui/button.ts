// Buttons and links that look like buttons.

import { h, type Child } from "./dom.ts";
import { icon, type IconName } from "./icons.ts";

export interface ButtonLook {
  icon?: IconName;
  kind?: "primary" | "live" | "danger" | "plain";
}

/** A button that does `act`. */
export function button(label: string, look: ButtonLook, act: () => void): HTMLButtonElement {
  const element = h("button", { type: "button", class: classOf(look) }, ...content(label, look));
  element.addEventListener("click", act);
  return element;
}

/** A link to another page or file, in the shape of a button. */
export function linkButton(label: string, look: ButtonLook, href: string): HTMLAnchorElement {
  return h("a", { href, class: classOf(look) }, ...content(label, look));
}

/** Changes icon and label of a button that stands for two states. */
export function relabel(element: HTMLElement, label: string, name: IconName): void {
  if (element.textContent !== label) element.replaceChildren(icon(name), h("span", {}, label));
}

/** A button that copies `text()` and says so. */
export function copyButton(label: string, text: () => string): HTMLButtonElement {
  const copy = button(label, { icon: "copy", kind: "plain" }, () => {
    void writeClipboard(text()).then((isCopied) => {
      relabel(copy, isCopied ? "Copied" : "Press Ctrl+C to copy", isCopied ? "check" : "copy");
      setTimeout(() => relabel(copy, label, "copy"), 2500);
    });
  });
  copy.setAttribute("aria-live", "polite");
  return copy;
}

async function writeClipboard(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text); // absent on plain http, refused without focus
    return true;
  } catch {
    return false;
  }
}

function classOf(look: ButtonLook): string {
  return `button ${look.kind ?? "plain"}`;
}

function content(label: string, look: ButtonLook): Child[] {
  return [look.icon ? icon(look.icon) : null, h("span", {}, label)];
}
