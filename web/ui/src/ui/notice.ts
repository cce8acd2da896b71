// What to show instead of content: an error with the way out, or nothing yet with the first step.

import { allowTokenPrompt } from "../api/client.ts";
import { ApiError, describe } from "../api/problem.ts";
import { button } from "./button.ts";
import { refusal } from "./dialogs.ts";
import { h, type Child } from "./dom.ts";

/** A framed note. `isUrgent` notes are read out at once. */
export function notice(title: string, isUrgent: boolean, ...body: Child[]): HTMLElement {
  const attributes = { class: isUrgent ? "notice urgent" : "notice", role: isUrgent ? "alert" : undefined };
  return h("section", attributes, h("h2", {}, title), ...body);
}

/** An error and a button that tries again, or that asks for a token when that is what is missing. */
export function failure(error: unknown, retry: () => void): HTMLElement {
  const isRefused = error instanceof ApiError && error.isRefused;
  const isForbidden = isRefused && error.status === 403;
  const title = isForbidden ? "This needs another access token" : isRefused ? "This needs an access token" : "That did not work";
  const again = button(isRefused ? "Enter token" : "Try again", { kind: "primary" }, () => {
    allowTokenPrompt();
    retry();
  });
  return notice(title, true, h("p", {}, isRefused ? refusal(error) : describe(error)), h("p", { class: "actions" }, again));
}
