// Starting and ending the recording of a broadcast by hand.

import { request } from "../api/client.ts";
import type { RoomDetails } from "../api/types.ts";
import { button, relabel } from "./button.ts";
import { fill, h } from "./dom.ts";
import { failure } from "./notice.ts";

export interface RecordControl {
  element: HTMLElement;
  /** Null or undefined: the room is unknown or the server does not answer. */
  show(room: RoomDetails | null | undefined): void;
}

/** Builds the control for `room`. It hides while nothing is broadcast, or the broadcast cannot be recorded. */
export function recordControl(room: string): RecordControl {
  const problem = h("div", {});
  const said = h("span", { class: "hint", role: "status" });
  let isOn = false;
  const act = button("Start recording", { icon: "record" }, () => void change());
  const element = h("div", {}, h("p", { class: "actions" }, act, said), problem);

  const change = async (): Promise<void> => {
    const [method, sentence] = isOn
      ? ["DELETE", "The recording ends in a few seconds; the broadcast goes on."]
      : ["POST", "Recording from now on."];
    act.disabled = true;
    fill(problem);
    try {
      await request(`/api/rooms/${room}/recording`, { method });
      said.textContent = sentence;
      draw(!isOn);
    } catch (error) {
      said.textContent = "";
      fill(problem, failure(error, () => void change()));
    } finally {
      act.disabled = false;
    }
  };
  const draw = (on: boolean): void => {
    isOn = on;
    relabel(act, on ? "Stop recording" : "Start recording", on ? "stop" : "record");
  };
  const show = (state: RoomDetails | null | undefined): void => {
    const isPossible = state !== null && state !== undefined && state.state !== "idle" && state.recording.state !== "unavailable";
    element.hidden = !isPossible;
    if (isPossible && !act.disabled) draw(["starting", "recording"].includes(state.recording.state));
  };
  show(undefined);
  return { element, show };
}
