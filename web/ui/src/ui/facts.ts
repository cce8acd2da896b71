// Named values: `<dl>` lists whose values change in place.

import { h, setText } from "./dom.ts";

export interface Facts {
  element: HTMLElement;
  /** Shows `values` in their order; a name that is no longer there disappears. */
  show(values: Record<string, string | undefined>): void;
}

/** A list of facts under a label for screen readers. */
export function facts(label: string): Facts {
  const element = h("dl", { class: "facts", "aria-label": label });
  const shown = new Map<string, { row: HTMLElement; value: HTMLElement }>();
  const show = (values: Record<string, string | undefined>): void => {
    for (const [name, { row }] of shown) {
      if (values[name] !== undefined) continue;
      row.remove();
      shown.delete(name);
    }
    let at = 0;
    for (const [name, text] of Object.entries(values)) {
      if (text === undefined) continue;
      const entry = shown.get(name) ?? row(name);
      shown.set(name, entry);
      setText(entry.value, text);
      const next = element.children[at++] ?? null;
      if (next !== entry.row) element.insertBefore(entry.row, next);
    }
  };
  return { element, show };
}

function row(name: string): { row: HTMLElement; value: HTMLElement } {
  const value = h("dd", {});
  return { row: h("div", {}, h("dt", {}, name), value), value };
}
