// The broadcaster's page: preview, settings, and one button that goes live.

import { ApiError } from "../api/problem.ts";
import { lookAtRoom } from "../api/room.ts";
import * as format from "../format.ts";
import { Broadcast, TakenOverError } from "../publish/broadcast.ts";
import { capture, CaptureError, isCameraAllowed } from "../publish/capture.ts";
import { settingsForm, type Change } from "../publish/settings.ts";
import { keepAwake } from "../publish/wake_lock.ts";
import type { StreamStats } from "../rtc/stats.ts";
import { address } from "../ui/address.ts";
import { button, copyButton, linkButton } from "../ui/button.ts";
import { fill, h } from "../ui/dom.ts";
import { facts } from "../ui/facts.ts";
import { failure, notice } from "../ui/notice.ts";
import { poll } from "../ui/poll.ts";
import { publisherReport } from "../ui/publisher_report.ts";
import { recordControl } from "../ui/record_control.ts";
import { roomFacts } from "../ui/room_facts.ts";
import { statusLine } from "../ui/status.ts";
import type { Page, View } from "../ui/view.ts";

/** The page that broadcasts into `room`. */
export function publishPage(room: string): Page {
  return (view) => new PublishPage(room, view).start();
}

class PublishPage {
  readonly #room: string;
  readonly #view: View;
  readonly #status = statusLine("idle", "Not live yet.");
  readonly #video = h("video", { id: "video", playsinline: true, autoplay: true, "aria-label": "Preview of your picture" });
  readonly #hint = h("div", { class: "overlay" }, h("p", {}, "Your picture appears here before anyone else sees it."));
  readonly #problem = h("div", {});
  readonly #facts = facts("Live statistics");
  readonly #about;
  readonly #record;
  readonly #report = publisherReport();
  readonly #form;
  readonly #goLive = button("Go live", { icon: "broadcast", kind: "live" }, () => void this.#begin(false));
  readonly #stop = button("Stop", { icon: "stop" }, () => this.#end("The broadcast has ended."));
  readonly #preview = button("Show preview", { icon: "play" }, () => void this.#capture());
  #stream: MediaStream | undefined;
  #broadcast: Broadcast | undefined;
  #stopping: AbortController | undefined;
  /** When this broadcast first went live; a reconnection does not begin it anew. */
  #liveSince_ms: number | undefined;

  constructor(room: string, view: View) {
    this.#room = room;
    this.#view = view;
    this.#about = roomFacts(room);
    this.#record = recordControl(room);
    this.#about.element.append(this.#record.element);
    this.#form = settingsForm(view.query, (change) => void this.#change(change));
    this.#video.muted = true;
  }

  start(): void {
    this.#view.title(`Publish ${this.#room}`);
    this.#view.guard(() => (this.#stopping ? "You are live. Leaving this page ends the broadcast." : undefined));
    this.#view.signal.addEventListener("abort", () => {
      this.#stopping?.abort();
      this.#release();
    });
    this.#draw();
    void this.#prepare();
    const { signal } = this.#view;
    void poll(2000, signal, async () => {
      const room = await lookAtRoom(this.#room, signal);
      this.#about.show(room);
      this.#record.show(room);
      this.#report.show(room?.report ?? []);
    });
  }

  #draw(): void {
    const watch = `/watch/${this.#room}`;
    const open = linkButton("Open", { icon: "play" }, watch);
    open.target = "_blank"; // leaving this page would end the broadcast
    this.#stop.hidden = true;
    fill(
      this.#view.main,
      h("div", { class: "headline" }, h("div", {}, h("p", { class: "eyebrow" }, "Publish to"), h("h1", {}, this.#room)), this.#status.element),
      h(
        "div",
        { class: "studio" },
        h(
          "div",
          { class: "stage" },
          h("div", { class: "player mirror" }, this.#video, this.#hint),
          h("p", { class: "actions" }, this.#goLive, this.#stop, this.#preview),
          this.#problem,
          this.#report.element,
          this.#facts.element,
        ),
        h(
          "div",
          { class: "side" },
          this.#about.element,
          this.#form.element,
          h(
            "section",
            { class: "panel" },
            h("h2", {}, "Invite viewers"),
            address(location.origin + watch),
            h("p", { class: "actions" }, copyButton("Copy link", () => location.origin + watch), open),
          ),
        ),
      ),
    );
  }

  async #prepare(): Promise<void> {
    await this.#form.refresh();
    if (this.#view.query.get("autostart") === "1") return this.#begin(false);
    if (this.#form.value().source === "camera" && (await isCameraAllowed())) await this.#capture();
  }

  /** Opens the chosen devices; false when there is no picture, and the page says why. */
  async #capture(): Promise<boolean> {
    const settings = this.#form.value();
    // A muted broadcast keeps its audio track, or it could not be heard again.
    const keepsAudio = this.#broadcast !== undefined && (this.#stream?.getAudioTracks().length ?? 0) > 0;
    // The same camera cannot be opened twice on phones: let go of it first.
    this.#release();
    fill(this.#problem);
    try {
      const stream = await capture({ ...settings, hasAudio: settings.hasAudio || keepsAudio });
      if (this.#view.signal.aborted) {
        for (const track of stream.getTracks()) track.stop();
        return false;
      }
      this.#stream = stream;
    } catch (error) {
      this.#show(error);
      return false;
    }
    for (const track of this.#stream.getAudioTracks()) track.enabled = settings.hasAudio;
    this.#video.srcObject = this.#stream;
    this.#video.parentElement?.classList.toggle("mirror", settings.source === "camera");
    this.#hint.hidden = true;
    this.#preview.hidden = true;
    for (const track of this.#stream.getVideoTracks()) {
      track.addEventListener("ended", () => this.#end("The picture has ended: the source was switched off."));
    }
    await this.#form.refresh();
    return true;
  }

  async #begin(mayTakeOver: boolean): Promise<void> {
    if (this.#stopping) return;
    const stopping = new AbortController();
    this.#stopping = stopping;
    swap(this.#goLive, this.#stop);
    this.#status.show("connecting", "Opening camera and microphone…");
    if (!this.#stream && !(await this.#capture())) return this.#end("Not live.", "error");
    if (stopping.signal.aborted || !this.#stream) return;
    fill(this.#problem);
    keepAwake(stopping.signal);
    const broadcast = new Broadcast(this.#room, this.#stream, this.#form.value(), {
      state: (state, sentence) => {
        if (state === "live") this.#liveSince_ms ??= Date.now();
        else this.#facts.show({});
        this.#status.show(state, sentence);
      },
      stats: (stats) => this.#facts.show(this.#measured(stats)),
    });
    this.#broadcast = broadcast;
    try {
      await broadcast.run(mayTakeOver, stopping.signal);
    } catch (error) {
      if (stopping.signal.aborted) return;
      this.#end("Not live.", "error");
      this.#show(error);
    }
  }

  #end(sentence: string, state: "ended" | "error" = "ended"): void {
    if (this.#view.signal.aborted) return;
    const wasLive = this.#stopping !== undefined;
    this.#stopping?.abort();
    this.#stopping = undefined;
    this.#broadcast = undefined;
    this.#liveSince_ms = undefined;
    swap(this.#stop, this.#goLive);
    this.#facts.show({});
    if (wasLive) this.#status.show(state, sentence);
    if (this.#stream?.getVideoTracks().some((track) => track.readyState === "ended")) this.#release();
  }

  async #change(change: Change): Promise<void> {
    const settings = this.#form.value();
    if (change === "bitrate") return this.#broadcast?.limit(settings.maxBitrate_bps);
    const audio = this.#stream?.getAudioTracks() ?? [];
    // While live the microphone is muted, not removed: the viewers' connections stay as they are.
    if (change === "mute" && (audio.length > 0 || this.#broadcast)) {
      for (const track of audio) track.enabled = settings.hasAudio;
      if (settings.hasAudio && audio.length === 0) {
        fill(this.#problem, notice("This broadcast began without sound", false, h("p", {}, "Stop and go live again to send the microphone.")));
      }
      return;
    }
    if (!this.#stream) return;
    if (await this.#capture()) {
      if (this.#stream) await this.#broadcast?.replace(this.#stream);
    } else if (this.#broadcast) this.#end("Not live: the new source could not be opened.", "error");
  }

  #release(): void {
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#stream = undefined;
    this.#video.srcObject = null;
    this.#hint.hidden = false;
    this.#preview.hidden = false;
  }

  #show(error: unknown): void {
    if (error instanceof TakenOverError) {
      return this.#offerTakeOver("Your broadcast was taken over", "Somebody else went live in this room, and that ended your broadcast.", "Take it back");
    }
    if (error instanceof ApiError && error.isTaken) {
      return this.#offerTakeOver("The room is taken", "Somebody else is broadcasting in this room. Taking over ends that broadcast; or choose another room.", "Take over");
    }
    if (error instanceof CaptureError) return fill(this.#problem, notice("No picture", true, h("p", {}, error.message)));
    fill(this.#problem, failure(error, () => void this.#begin(false)));
  }

  #offerTakeOver(title: string, text: string, label: string): void {
    const takeOver = button(label, { kind: "danger" }, () => void this.#begin(true));
    fill(this.#problem, notice(title, true, h("p", {}, text), h("p", { class: "actions" }, takeOver, linkButton("Other rooms", {}, "/"))));
  }

  #measured(stats: StreamStats): Record<string, string> {
    const why: Record<string, string> = { cpu: "busy device", bandwidth: "slow network", other: "unknown cause" };
    return {
      Time: format.clock(Date.now() - (this.#liveSince_ms ?? Date.now())),
      Bitrate: format.bitrate(stats.bitrate_bps),
      Picture: format.resolution(stats.width, stats.height),
      "Frame rate": format.frameRate(stats.frame_rate),
      "Round trip": format.millis(stats.rtt_ms),
      Loss: format.percent(stats.loss),
      Codecs: stats.codecs.map(format.codecName).join(", ") || "–",
      "Held back by": stats.limitation ? (why[stats.limitation] ?? stats.limitation) : "nothing",
    };
  }
}

/** Puts one button in the other's place; the keyboard stays where it was. */
function swap(leaving: HTMLElement, coming: HTMLElement): void {
  const hadFocus = document.activeElement === leaving;
  leaving.hidden = true;
  coming.hidden = false;
  if (hadFocus) coming.focus();
}
