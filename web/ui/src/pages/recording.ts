// One recording: play it, know it, keep it, delete it.

import { getJson, request } from "../api/client.ts";
import { ApiError } from "../api/problem.ts";
import type { Manifest } from "../api/types.ts";
import * as format from "../format.ts";
import { playRecording } from "../play/recording.ts";
import { button, copyButton, linkButton } from "../ui/button.ts";
import { clipForm } from "../ui/clip_form.ts";
import { confirmAction } from "../ui/dialogs.ts";
import { fill, h, setText } from "../ui/dom.ts";
import { downloadButton } from "../ui/download.ts";
import { facts } from "../ui/facts.ts";
import { failure, notice } from "../ui/notice.ts";
import { poll } from "../ui/poll.ts";
import { posterUrl } from "../ui/poster.ts";
import { stateBadge } from "../ui/recording_badge.ts";
import { gapList, trackList } from "../ui/recording_parts.ts";
import type { Page, View } from "../ui/view.ts";

/** The page of `recording` in `room`. */
export function recordingPage(room: string, recording: string): Page {
  return (view) => new RecordingPage(room, recording, view).start();
}

class RecordingPage {
  readonly #room: string;
  readonly #recording: string;
  readonly #view: View;
  readonly #api: string;
  readonly #objects: string;
  readonly #badge = h("span", {});
  readonly #when = h("p", { class: "hint" });
  readonly #problem = h("div", {});
  readonly #facts = facts("About this recording");
  readonly #parts = h("div", { class: "parts" });
  readonly #actions = h("p", { class: "actions" });
  readonly #video = h("video", { id: "video", playsinline: true, controls: true, preload: "metadata" });
  #shownState: Manifest["state"] | undefined;

  constructor(room: string, recording: string, view: View) {
    this.#room = room;
    this.#recording = recording;
    this.#view = view;
    this.#api = `/api/recordings/${room}/${recording}`;
    this.#objects = `/recordings/${room}/${recording}`;
    this.#video.setAttribute("aria-label", `Recording of ${room}`);
  }

  start(): void {
    this.#view.title(`Recording of ${this.#room}`);
    fill(
      this.#view.main,
      h("p", { class: "crumbs" }, h("a", { href: "/recordings" }, "Recordings"), " / ", h("a", { href: `/recordings?room=${this.#room}` }, this.#room)),
      h("div", { class: "headline" }, h("div", {}, h("h1", {}, this.#room), this.#when), this.#badge),
      h(
        "div",
        { class: "studio" },
        h("div", { class: "stage" }, h("div", { class: "player" }, this.#video), this.#problem, this.#actions),
        h(
          "div",
          { class: "side" },
          h("section", { class: "panel" }, h("h2", {}, "This recording"), this.#facts.element),
          clipForm(`${this.#objects}/clip.mp4`, this.#room, `${this.#room}-${this.#recording}`, () => this.#video.currentTime),
        ),
      ),
      this.#parts,
    );
    void this.#load();
  }

  async #load(): Promise<void> {
    const { signal } = this.#view;
    fill(this.#problem);
    try {
      this.#show(await getJson<Manifest>(this.#api, signal));
    } catch (error) {
      if (signal.aborted) return;
      return error instanceof ApiError && error.status === 404 ? this.#gone() : fill(this.#problem, failure(error, () => void this.#load()));
    }
    playRecording(this.#objects, this.#room, this.#video, signal).catch((error: unknown) => {
      if (!signal.aborted) fill(this.#problem, failure(error, () => void this.#load()));
    });
    if (this.#shownState === "live") void this.#follow();
  }

  /** Keeps the facts fresh while the recording goes on. */
  async #follow(): Promise<void> {
    const done = new AbortController();
    this.#view.signal.addEventListener("abort", () => done.abort());
    await poll(5000, done.signal, async () => {
      try {
        this.#show(await getJson<Manifest>(this.#api, this.#view.signal));
        if (this.#shownState !== "live") done.abort();
      } catch {
        // The next round will do; what is shown stays true until then.
      }
    });
  }

  #show(manifest: Manifest): void {
    const bytes = manifest.segments.reduce((sum, segment) => sum + segment.bytes, 0);
    const mp4 = manifest.objects?.find(({ name }) => name === "recording.mp4");
    void posterUrl(this.#room, this.#recording, (manifest.objects ?? []).map(({ name }) => name)).then((poster) => {
      if (poster !== undefined) this.#video.poster = poster;
    });
    setText(this.#when, format.localTime(manifest.start));
    this.#facts.show({
      Duration: format.clock(manifest.duration_ms),
      Size: format.byteSize(bytes),
      Began: format.localTime(manifest.start),
      Ended: manifest.end && manifest.state !== "live" ? format.localTime(manifest.end) : "not yet",
      Segments: String(manifest.segments.length),
      Gaps: manifest.gaps.length === 0 ? "none" : String(manifest.gaps.length),
    });
    fill(this.#parts, trackList(manifest.tracks), gapList(manifest.gaps));
    if (this.#shownState === manifest.state) return;
    this.#shownState = manifest.state;
    fill(this.#badge, stateBadge(manifest.state));
    this.#drawActions(manifest.state === "live" ? undefined : (mp4?.bytes ?? bytes));
  }

  /** `mp4_bytes` is undefined while there is no file to download. */
  #drawActions(mp4_bytes: number | undefined): void {
    const file = `${this.#objects}/recording.mp4`;
    fill(
      this.#actions,
      mp4_bytes === undefined
        ? h("span", { class: "hint" }, "The MP4 can be downloaded when the recording has ended.")
        : downloadButton(file, this.#room, `${this.#room}-${this.#recording}.mp4`, mp4_bytes, (error) => fill(this.#problem, failure(error, () => fill(this.#problem)))),
      copyButton("Copy link", () => location.origin + this.#objects),
      mp4_bytes === undefined ? linkButton("Watch live", { icon: "play" }, `/watch/${this.#room}`) : button("Delete", { icon: "trash" }, () => void this.#delete()),
    );
  }

  async #delete(): Promise<void> {
    const text = `The recording of ${this.#room}, ${this.#when.textContent}, will be removed from storage with its MP4 and all segments. This cannot be undone.`;
    if (!(await confirmAction("Delete this recording?", text, "Delete"))) return;
    try {
      await request(this.#api, { method: "DELETE" });
      this.#view.go("/recordings");
    } catch (error) {
      fill(this.#problem, failure(error, () => void this.#delete()));
    }
  }

  #gone(): void {
    fill(
      this.#view.main,
      h("h1", {}, "This recording is not here"),
      notice(
        "It was deleted, or the link is not complete",
        true,
        h("p", {}, `Nothing is stored as ${this.#recording} in the room ${this.#room}.`),
        h("p", { class: "actions" }, linkButton("All recordings", { kind: "primary" }, "/recordings")),
      ),
    );
  }
}
