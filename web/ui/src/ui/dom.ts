// Elements without markup: text is always text, so nothing a server or a user says becomes HTML.

export type Child = Node | string | null | undefined | false;

type Attributes = Record<string, string | boolean | undefined>;

/** Creates an element. An attribute of `true` stands alone; `false` and `undefined` leave it out. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (typeof value === "string") element.setAttribute(name, value);
  }
  element.append(...children.filter(isShown));
  return element;
}

/** Replaces all children of `parent`. */
export function fill(parent: Element, ...children: Child[]): void {
  parent.replaceChildren(...children.filter(isShown));
}

/** Changes the text only when it differs: screen readers announce every write to a live region. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

function isShown(child: Child): child is Node | string {
  return child !== null && child !== undefined && child !== false;
}
