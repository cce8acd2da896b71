// The page for paths that are none of ours.

import { linkButton } from "../ui/button.ts";
import { h } from "../ui/dom.ts";
import type { View } from "../ui/view.ts";

/** Says that there is nothing here, and where there is something. */
export function notFoundPage(view: View): void {
  view.title("Page not found");
  view.main.append(
    h(
      "section",
      { class: "notice lonely" },
      h("h1", {}, "There is no page here"),
      h("p", {}, "The address may be mistyped. A room name has 1 to 64 letters, digits, dots, dashes or underscores, and does not begin with a dot."),
      h("p", { class: "actions" }, linkButton("Go to the rooms", { kind: "primary" }, "/"), linkButton("See the recordings", {}, "/recordings")),
    ),
  );
}
