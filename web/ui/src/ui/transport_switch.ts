// The choice between real time and HLS, and a note when the choice was made for the user.

import type { Transport } from "../play/viewer.ts";
import { h, setText } from "./dom.ts";

export interface TransportSwitch {
  element: HTMLElement;
  /** Marks the transport in use; `note` says why when it is not the one asked for. */
  set(transport: Transport, note: string): void;
}

/** Builds the switch; `choose` runs when the user picks. */
export function transportSwitch(first: Transport, choose: (transport: Transport) => void): TransportSwitch {
  const names: Record<Transport, string> = { whep: "Real time (WebRTC)", hls: "HLS" };
  const inputs = new Map<Transport, HTMLInputElement>();
  const labels = (Object.keys(names) as Transport[]).map((transport) => {
    const input = h("input", { type: "radio", name: "transport", value: transport, checked: transport === first });
    input.addEventListener("change", () => choose(transport));
    inputs.set(transport, input);
    return h("label", {}, input, h("span", {}, names[transport]));
  });
  const note = h("p", { class: "hint", role: "status" });
  const group = h("fieldset", { class: "segments" }, h("legend", { class: "unseen" }, "Play by"), ...labels);
  return {
    element: h("div", { class: "transport" }, group, note),
    set: (transport, text) => {
      const input = inputs.get(transport);
      if (input) input.checked = true;
      setText(note, text);
    },
  };
}
