// Numbers as people read them. Every input names its unit; `undefined` and `null` become a dash.

const NOTHING = "–";
/** Keeps a number and its unit on one line. */
const GAP = "\u00a0";

type Maybe = number | null | undefined;

/** Bits per second as kb/s or Mb/s. */
export function bitrate(bps: Maybe): string {
  if (!isNumber(bps)) return NOTHING;
  if (bps >= 999_500) return `${trim(bps / 1e6, 1)}${GAP}Mb/s`;
  return `${Math.round(bps / 1000)}${GAP}kb/s`;
}

/** Bytes in decimal units, as file managers and storage bills count them. */
export function byteSize(bytes: Maybe): string {
  if (!isNumber(bytes)) return NOTHING;
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? value : trim(value, value < 10 ? 1 : 0)}${GAP}${units[unit]}`;
}

/** Milliseconds as a clock: `0:07`, `12:30`, `1:02:03`. */
export function clock(duration_ms: Maybe): string {
  if (!isNumber(duration_ms)) return NOTHING;
  const seconds = Math.max(0, Math.floor(duration_ms / 1000));
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const two = (n: number): string => String(n).padStart(2, "0");
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** Seconds as a place in a recording, to the hundredth: `0:07.25`, `1:02:03`. */
export function position(time_s: number): string {
  const hundredths = Math.round(Math.max(0, time_s) * 100);
  const rest = hundredths % 100;
  const fraction = rest === 0 ? "" : `.${String(rest).padStart(2, "0").replace(/0$/, "")}`;
  return clock(Math.floor(hundredths / 100) * 1000) + fraction;
}

/** Reads a place in a recording as people write it: `7.25`, `0:07`, `1:02:03.5`. Undefined when it is none. */
export function parsePosition(text: string): number | undefined {
  const parts = text.trim().split(":");
  if (parts.length > 3 || !parts.every((part, index) => (index === parts.length - 1 ? /^\d{1,6}(\.\d{1,6})?$/ : /^\d{1,4}$/).test(part))) return undefined;
  return parts.reduce((time_s, part) => time_s * 60 + Number(part), 0);
}

/** Milliseconds as a rough length that does not tick: `25 s`, `12 min`, `3 h 5 min`, `2 d 4 h`. */
export function elapsed(duration_ms: Maybe): string {
  if (!isNumber(duration_ms)) return NOTHING;
  const seconds = Math.max(0, Math.floor(duration_ms / 1000));
  const [d, h, m] = [Math.floor(seconds / 86_400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
  const join = (...parts: [number, string][]): string => parts.map(([n, unit]) => `${n}${GAP}${unit}`).join(" ");
  if (d > 0) return join([d, "d"], [h, "h"]);
  if (h > 0) return join([h, "h"], [m, "min"]);
  return m > 0 ? join([m, "min"]) : join([seconds, "s"]);
}

/** Milliseconds as a short measure: `85 ms`, `2.4 s`. */
export function millis(ms: Maybe): string {
  if (!isNumber(ms)) return NOTHING;
  return ms < 1000 ? `${Math.round(ms)}${GAP}ms` : `${trim(ms / 1000, 1)}${GAP}s`;
}

/** A fraction (0 to 1) as a percentage. */
export function percent(fraction: Maybe): string {
  if (!isNumber(fraction)) return NOTHING;
  const value = fraction * 100;
  return `${trim(value, value < 10 ? 1 : 0)}${GAP}%`;
}

/** Width and height in pixels. */
export function resolution(width: Maybe, height: Maybe): string {
  return isNumber(width) && isNumber(height) && width > 0 ? `${width}${GAP}×${GAP}${height}` : NOTHING;
}

/** Frames per second. */
export function frameRate(fps: Maybe): string {
  return isNumber(fps) ? `${trim(fps, 1)}${GAP}fps` : NOTHING;
}

/** A codec as people call it, from a MIME type, an RFC 6381 string or the API's own word. */
export function codecName(codec: string | null | undefined): string {
  if (!codec) return NOTHING;
  const id = codec.toLowerCase().replace(/^(video|audio)\//, "");
  const names: [RegExp, string][] = [
    [/^(h264|avc[13])/, "H.264"],
    [/^(h265|hevc|hvc1|hev1)/, "H.265"],
    [/^(av1|av01)/, "AV1"],
    [/^(vp9|vp09)/, "VP9"],
    [/^(vp8|vp08)/, "VP8"],
    [/^opus/, "Opus"],
    [/^(aac|mp4a|mpeg4-generic)/, "AAC"],
  ];
  return names.find(([pattern]) => pattern.test(id))?.[1] ?? codec;
}

/** Counts with the right word: `1 viewer`, `3 viewers`. */
export function count(n: number, one: string): string {
  return `${n}${GAP}${one}${n === 1 ? "" : "s"}`;
}

/** An RFC 3339 instant in the reader's own time zone and language. */
export function localTime(instant: string | null | undefined): string {
  const time = instant ? new Date(instant) : undefined;
  if (!time || Number.isNaN(time.getTime())) return NOTHING;
  return time.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

function isNumber(value: Maybe): value is number {
  return typeof value === "number" && Number.isFinite(value);
}

function trim(value: number, digits: number): string {
  return String(Number(value.toFixed(digits)));
}
