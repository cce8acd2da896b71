// The viewer's page: the picture, and a choice of how it gets here.

import { lookAtRoom } from "../api/room.ts";
import type { RoomDetails, RoomState } from "../api/types.ts";
import * as format from "../format.ts";
import { controls, playButton } from "../play/controls.ts";
import { watchRoom, type Transport, type ViewerHooks } from "../play/viewer.ts";
import { copyButton } from "../ui/button.ts";
import { fill, h, setText } from "../ui/dom.ts";
import { facts } from "../ui/facts.ts";
import { failure } from "../ui/notice.ts";
import { poll } from "../ui/poll.ts";
import { roomFacts } from "../ui/room_facts.ts";
import { statusLine, type PageState } from "../ui/status.ts";
import { transportSwitch } from "../ui/transport_switch.ts";
import type { Page, View } from "../ui/view.ts";

/** The page that watches `room`; `?via=whep` or `?via=hls` forbids the other way. */
export function watchPage(room: string): Page {
  return (view) => new WatchPage(room, view).start();
}

class WatchPage {
  readonly #room: string;
  readonly #view: View;
  readonly #status = statusLine("connecting", "Connecting…", SHORT);
  readonly #video = h("video", { id: "video", playsinline: true, autoplay: true });
  readonly #overlay = h("p", {});
  readonly #problem = h("div", {});
  readonly #facts = facts("Playback statistics");
  readonly #about;
  readonly #switch = transportSwitch("whep", (transport) => this.#choose(transport, false));
  #playing = new AbortController();
  #roomState: RoomDetails | undefined | null;

  constructor(room: string, view: View) {
    this.#room = room;
    this.#view = view;
    this.#video.muted = true; // no browser starts a page's sound unasked
    this.#video.setAttribute("aria-label", `Live picture of ${room}`);
    this.#about = roomFacts(room);
  }

  start(): void {
    const { signal } = this.#view;
    this.#view.title(`Watch ${this.#room}`);
    signal.addEventListener("abort", () => this.#playing.abort());
    this.#draw();
    void poll(2000, signal, () => this.#look());
    const via = this.#view.query.get("via");
    if (via === "hls" || via === "whep") this.#choose(via, false);
    else this.#choose("whep", true);
  }

  #draw(): void {
    const { signal } = this.#view;
    const overlay = h("div", { class: "overlay waiting-only", "aria-hidden": "true" }, h("span", { class: "pulse" }), this.#overlay);
    const player = h("div", { class: "player" }, this.#video, overlay, playButton(this.#video, signal));
    fill(
      this.#view.main,
      h("div", { class: "headline" }, h("div", {}, h("p", { class: "eyebrow" }, "Watch"), h("h1", {}, this.#room)), this.#status.element),
      h(
        "div",
        { class: "studio" },
        h("div", { class: "stage" }, player, controls(this.#video, player, signal), this.#problem),
        h(
          "div",
          { class: "side" },
          h("section", { class: "panel" }, h("h2", {}, "Playback"), this.#switch.element, this.#facts.element),
          this.#about.element,
          h("p", { class: "actions" }, copyButton("Copy link", () => `${location.origin}/watch/${this.#room}`)),
        ),
      ),
      this.#about.details,
    );
  }

  #choose(transport: Transport, mayFallBack: boolean): void {
    this.#playing.abort();
    this.#playing = new AbortController();
    const { signal } = this.#playing;
    const hooks: ViewerHooks = {
      room: () => this.#heard(),
      state: (state, sentence) => {
        if (signal.aborted) return;
        this.#status.show(state, sentence);
        setText(this.#overlay, sentence);
        if (state !== "playing") this.#facts.show({});
      },
      stats: (stats) => {
        const isPlaying = document.documentElement.dataset["state"] === "playing";
        if (!signal.aborted && isPlaying) this.#facts.show(measured(stats));
      },
      fellBack: (to, reason) => this.#switch.set(to, `Real time did not work here: ${reason} Playing by HLS instead.`),
    };
    this.#switch.set(transport, "");
    this.#facts.show({});
    fill(this.#problem);
    watchRoom(this.#room, this.#video, { transport, mayFallBack }, hooks, signal).catch((error: unknown) => {
      if (signal.aborted) return;
      hooks.state("error", "Not playing.");
      fill(this.#problem, failure(error, () => this.#choose(transport, mayFallBack)));
    });
  }

  /** Undefined until the server has said anything, and while it does not answer. */
  #heard(): RoomState | undefined {
    return this.#roomState === null ? "idle" : this.#roomState?.state;
  }

  async #look(): Promise<void> {
    this.#roomState = await lookAtRoom(this.#room, this.#view.signal);
    this.#about.show(this.#roomState);
  }
}

/** The picture carries the sentence where there is nothing to see yet. */
const SHORT: Partial<Record<PageState, string>> = {
  connecting: "Connecting",
  waiting: "Waiting",
  reconnecting: "Reconnecting",
};

function measured(stats: Parameters<ViewerHooks["stats"]>[0]): Record<string, string | undefined> {
  return {
    Delay: format.millis(stats.delay_ms),
    Bitrate: format.bitrate(stats.bitrate_bps),
    Picture: format.resolution(stats.width, stats.height),
    "Frame rate": format.frameRate(stats.frame_rate),
    Codecs: stats.codecs.map(format.codecName).join(", ") || "–",
    "Round trip": stats.rtt_ms === undefined ? undefined : format.millis(stats.rtt_ms),
    Loss: stats.loss === undefined ? undefined : format.percent(stats.loss),
  };
}
