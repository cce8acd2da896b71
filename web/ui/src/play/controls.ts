// The bar below the picture of a live room: sound, picture in picture, full screen.

import { button, relabel } from "../ui/button.ts";
import { h } from "../ui/dom.ts";
import type { IconName } from "../ui/icons.ts";

type ApplePlayer = HTMLVideoElement & { webkitEnterFullscreen?: () => void };

/** Builds the controls of `video`, which stands in `player`; those the browser lacks are left out. */
export function controls(video: HTMLVideoElement, player: HTMLElement, signal: AbortSignal): HTMLElement {
  const sound = button("Unmute", { icon: "muted", kind: "primary" }, () => {
    video.muted = !video.muted;
    resume(video);
  });
  const volume = h("input", { type: "range", min: "0", max: "1", step: "0.05", value: "1", "aria-label": "Volume" });
  volume.addEventListener("input", () => {
    video.volume = Number(volume.value);
    video.muted = video.volume === 0;
  });
  const show = (): void => {
    relabel(sound, video.muted ? "Unmute" : "Mute", video.muted ? "muted" : "sound");
    sound.classList.toggle("primary", video.muted);
    volume.value = video.muted ? "0" : String(video.volume);
  };
  video.addEventListener("volumechange", show, { signal });
  show();
  const bar = h("div", { class: "controls", role: "group", "aria-label": "Player" }, sound, volume, h("span", { class: "grow" }));
  if (document.pictureInPictureEnabled) {
    bar.append(compact("Picture in picture", "pip", () => void togglePip(video)));
  }
  bar.append(compact("Full screen", "fullscreen", () => void toggleFullscreen(video, player)));
  return bar;
}

/** A button over the picture for browsers that do not even start muted; shown while it is needed. */
export function playButton(video: HTMLVideoElement, signal: AbortSignal): HTMLButtonElement {
  const play = button("Play", { icon: "play", kind: "primary" }, () => resume(video));
  play.classList.add("centre");
  const show = (): void => {
    play.hidden = !(video.paused && video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA && !video.ended);
  };
  for (const event of ["play", "pause", "loadeddata", "emptied", "ended"]) video.addEventListener(event, show, { signal });
  show();
  return play;
}

/** A button that shows only its icon where there is no room for words. */
function compact(label: string, icon: IconName, act: () => void): HTMLButtonElement {
  const element = button(label, { icon }, act);
  element.classList.add("compact");
  element.title = label;
  return element;
}

function resume(video: HTMLVideoElement): void {
  // Fails only without a source or without the user's gesture, and then the button stays.
  video.play().catch(() => undefined);
}

async function togglePip(video: HTMLVideoElement): Promise<void> {
  try {
    if (document.pictureInPictureElement) await document.exitPictureInPicture();
    else await video.requestPictureInPicture();
  } catch {
    // No picture yet: there is nothing to take out of the page.
  }
}

async function toggleFullscreen(video: ApplePlayer, player: HTMLElement): Promise<void> {
  if (document.fullscreenElement) return document.exitFullscreen();
  // iPhones let only the video itself fill the screen.
  if (player.requestFullscreen) await player.requestFullscreen().catch(() => undefined);
  else video.webkitEnterFullscreen?.();
}
