// Questions that must be answered first: a token, a confirmation. Native dialogs keep focus and Escape right.

import type { ApiError } from "../api/problem.ts";
import { currentToken } from "../api/token.ts";
import { button } from "./button.ts";
import { h } from "./dom.ts";

/** Asks for an access token; undefined when cancelled, an empty string to forget the one in use. */
export function askToken(problem: ApiError | undefined): Promise<string | undefined> {
  const input = h("input", { type: "password", id: "token", autocomplete: "off", spellcheck: "false", "aria-describedby": "token-why" });
  const why = problem
    ? refusal(problem)
    : "It is sent with every request of this tab and forgotten when the tab closes. Leave it empty to use none.";
  const form = h(
    "form",
    { method: "dialog" },
    h("h2", {}, "Access token"),
    h("p", { id: "token-why" }, why),
    h("label", { for: "token" }, "Token"),
    input,
    problem && h("p", { class: "hint" }, "Whoever runs this server can give you one."),
  );
  return ask(form, { label: "Use token", kind: "primary" }, () => input.value.trim());
}

/** Says why a token is asked for. */
export function refusal(problem: ApiError): string {
  if (problem.status === 403) return "Your token does not allow this. Enter one that does.";
  if (currentToken() !== undefined) return "The server does not know this token. Look for a missing or a mistyped character, or enter another one.";
  return "This server lets only people with an access token in.";
}

/** Asks whether to do what cannot be undone. */
export async function confirmAction(title: string, text: string, label: string): Promise<boolean> {
  const form = h("form", { method: "dialog" }, h("h2", {}, title), h("p", {}, text));
  return (await ask(form, { label, kind: "danger" }, () => true)) ?? false;
}

type Yes = { label: string; kind: "primary" | "danger" };

function ask<T>(form: HTMLFormElement, yes: Yes, answer: () => T): Promise<T | undefined> {
  const title = form.querySelector("h2");
  if (title) title.id = "dialog-title";
  const dialog = h("dialog", { "aria-labelledby": "dialog-title" }, form);
  const cancel = button("Cancel", {}, () => dialog.close());
  const submit = h("button", { type: "submit", value: "yes", class: `button ${yes.kind}` }, yes.label);
  form.append(h("p", { class: "actions" }, cancel, submit));
  // What cannot be undone should not sit under a hasty Enter.
  if (yes.kind === "danger") cancel.autofocus = true;
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes" ? answer() : undefined);
    });
  });
}
