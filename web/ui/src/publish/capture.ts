// Camera, screen and microphone, and what to tell people who get none of them.

export interface CaptureSettings {
  source: "camera" | "screen";
  hasAudio: boolean;
  /** Device ids; empty means the browser's choice. */
  camera: string;
  microphone: string;
  /** Lines of the picture: 1080, 720 or 480. */
  height: number;
}

/** A failure to capture, in words for the user. */
export class CaptureError extends Error {
  override readonly name = "CaptureError";
}

/** Opens what `settings` ask for: one video track and at most one audio track. Throws `CaptureError`. */
export async function capture(settings: CaptureSettings): Promise<MediaStream> {
  const devices = mediaDevices();
  const opened: MediaStreamTrack[] = [];
  try {
    const audio = settings.hasAudio ? audioWish(settings) : false;
    if (settings.source === "camera") return await devices.getUserMedia({ video: cameraWish(settings), audio });
    const screen = await devices.getDisplayMedia({ video: size(settings.height), audio: false });
    opened.push(...screen.getTracks());
    if (audio) opened.push(...(await devices.getUserMedia({ audio })).getTracks());
    for (const track of screen.getVideoTracks()) track.contentHint = "detail";
    return new MediaStream(opened);
  } catch (error) {
    for (const track of opened) track.stop();
    throw new CaptureError(captureHelp((error as Error).name, settings.source));
  }
}

/** The devices of a kind. Their labels are empty until the user has allowed a capture. */
export async function listDevices(kind: "videoinput" | "audioinput"): Promise<MediaDeviceInfo[]> {
  const all = (await navigator.mediaDevices?.enumerateDevices().catch(() => [])) ?? [];
  return all.filter((device) => device.kind === kind && device.deviceId !== "");
}

/** Says whether the camera opens without a question, so that the preview may start by itself. */
export async function isCameraAllowed(): Promise<boolean> {
  try {
    const camera = await navigator.permissions.query({ name: "camera" as PermissionName });
    return camera.state === "granted";
  } catch {
    return false; // some browsers do not know this permission by name
  }
}

/** What happened and what to do, by the name of the browser's error. */
export function captureHelp(name: string, source: "camera" | "screen"): string {
  const what = source === "camera" ? "camera or microphone" : "screen";
  switch (name) {
    case "NotAllowedError":
    case "SecurityError":
      return source === "screen"
        ? "No screen was shared. Press the button again and choose a screen, a window or a tab."
        : "The browser was not allowed to use the camera or microphone. Allow it beside the address bar, then try again.";
    case "NotFoundError":
    case "OverconstrainedError":
      return `No ${what} was found. Connect one, or choose another source.`;
    case "NotReadableError":
    case "AbortError":
      return `The ${what} is in use by another program, or did not start. Close the other program, then try again.`;
    case "InvalidStateError":
      return "A screen can only be shared after a click. Press the button to choose one.";
    default:
      return `The ${what} could not be opened (${name}). Try again, or choose another source.`;
  }
}

function mediaDevices(): MediaDevices {
  if (navigator.mediaDevices) return navigator.mediaDevices;
  throw new CaptureError(
    "Browsers allow the camera on https pages and on localhost only. Open this page by https, or publish from OBS instead.",
  );
}

function cameraWish(settings: CaptureSettings): MediaTrackConstraints {
  return { ...size(settings.height), ...device(settings.camera) };
}

function audioWish(settings: CaptureSettings): MediaTrackConstraints {
  return device(settings.microphone);
}

function device(id: string): MediaTrackConstraints {
  return id === "" ? {} : { deviceId: { exact: id } };
}

function size(height: number): MediaTrackConstraints {
  const width = Math.round((height * 16) / 9 / 2) * 2;
  return { width: { ideal: width }, height: { ideal: height }, frameRate: { ideal: 30, max: 60 } };
}
