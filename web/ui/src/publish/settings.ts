// The form beside the preview: what to send, from which device, how large.

import { h } from "../ui/dom.ts";
import { listDevices, type CaptureSettings } from "./capture.ts";

export interface Settings extends CaptureSettings {
  /** Undefined leaves the bitrate to the browser. */
  maxBitrate_bps: number | undefined;
  /** Whether smaller pictures are sent beside the large one, for viewers on slow links. */
  isSimulcast: boolean;
}

/** What has to be done after a change: open the devices again, mute, or only cap the bitrate. */
export type Change = "capture" | "mute" | "bitrate";

export interface SettingsForm {
  element: HTMLElement;
  value(): Settings;
  /** Fills the device lists; worth repeating once the user has allowed a capture. */
  refresh(): Promise<void>;
}

const HEIGHTS: [string, string][] = [
  ["1080", "1080p"],
  ["720", "720p"],
  ["480", "480p"],
];
const BITRATES: [string, string][] = [
  ["", "Automatic"],
  ["6000000", "6 Mb/s"],
  ["4000000", "4 Mb/s"],
  ["2500000", "2.5 Mb/s"],
  ["1200000", "1.2 Mb/s"],
  ["600000", "600 kb/s"],
];

/** Builds the form; `query` may preset `source=camera|screen`, `audio=0` and `simulcast=1`. */
export function settingsForm(query: URLSearchParams, changed: (change: Change) => void): SettingsForm {
  const isScreen = query.get("source") === "screen";
  const camera = radio("source", "camera", "Camera", !isScreen);
  const screen = radio("source", "screen", "Screen", isScreen);
  const audio = h("input", { type: "checkbox", id: "audio", checked: query.get("audio") !== "0" });
  const cameras = select("camera", [["", "Default camera"]], "");
  const microphones = select("microphone", [["", "Default microphone"]], "");
  const height = select("height", HEIGHTS, "720");
  const bitrate = select("bitrate", BITRATES, "");
  const simulcast = h("input", { type: "checkbox", id: "simulcast", checked: query.get("simulcast") === "1", "aria-describedby": "simulcast-rule" });
  const cameraField = field("Camera", cameras);
  const microphoneField = field("Microphone", microphones);

  const arrange = (): void => {
    cameraField.hidden = screen.input.checked;
    microphoneField.hidden = !audio.checked;
  };
  arrange();
  for (const input of [camera.input, screen.input, cameras, microphones, height]) {
    input.addEventListener("change", () => (arrange(), changed("capture")));
  }
  audio.addEventListener("change", () => (arrange(), changed("mute")));
  bitrate.addEventListener("change", () => changed("bitrate"));

  const element = h(
    "form",
    { class: "settings panel", "aria-label": "Broadcast settings" },
    h("fieldset", { class: "segments" }, h("legend", {}, "Source"), camera.label, screen.label),
    cameraField,
    h("label", { class: "switch", for: "audio" }, audio, h("span", {}, "Microphone on")),
    microphoneField,
    h("div", { class: "pair" }, field("Resolution", height), field("Bitrate", bitrate)),
    h("label", { class: "switch", for: "simulcast" }, simulcast, h("span", {}, "Several qualities")),
    h("p", { class: "hint", id: "simulcast-rule" }, "Sends smaller pictures too, for viewers on slow links. Takes more of your upload and processor, and counts from the next time you go live."),
  );
  element.addEventListener("submit", (event) => event.preventDefault());
  return {
    element,
    value: () => ({
      source: screen.input.checked ? "screen" : "camera",
      hasAudio: audio.checked,
      camera: cameras.value,
      microphone: microphones.value,
      height: Number(height.value),
      maxBitrate_bps: bitrate.value === "" ? undefined : Number(bitrate.value),
      isSimulcast: simulcast.checked,
    }),
    refresh: async () => {
      offer(cameras, "Default camera", await listDevices("videoinput"));
      offer(microphones, "Default microphone", await listDevices("audioinput"));
    },
  };
}

function radio(name: string, value: string, text: string, checked: boolean) {
  const input = h("input", { type: "radio", name, value, checked });
  return { input, label: h("label", {}, input, h("span", {}, text)) };
}

function select(id: string, options: [string, string][], chosen: string): HTMLSelectElement {
  const element = h("select", { id }, ...options.map(([value, text]) => h("option", { value }, text)));
  element.value = chosen;
  return element;
}

function field(text: string, control: HTMLSelectElement): HTMLElement {
  return h("div", { class: "field" }, h("label", { for: control.id }, text), control);
}

function offer(control: HTMLSelectElement, first: string, devices: MediaDeviceInfo[]): void {
  const chosen = control.value;
  control.replaceChildren(
    h("option", { value: "" }, first),
    ...devices
      .filter(({ deviceId }) => deviceId !== "default")
      .map((device, i) => h("option", { value: device.deviceId }, device.label || `Device ${i + 1}`)),
  );
  control.value = chosen;
  if (control.selectedIndex < 0) control.value = ""; // it was unplugged
}
