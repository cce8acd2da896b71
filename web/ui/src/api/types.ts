// The JSON of the server's API, as far as the pages read it. Names and units are the server's.

/** `reconnecting`: the publisher's connection broke, and its place is kept for a while. */
export type RoomState = "idle" | "live" | "reconnecting";

/** `off`: nothing is published. `starting`: the first segment is not complete. `ended`: the last segments stay for a while. */
export type HlsState = "off" | "starting" | "ready" | "ended" | "unavailable";

/** What becomes of the room's present or last broadcast. `starting`: from the first segment on it is recorded. */
export type RoomRecordingState = "off" | "starting" | "recording" | "finishing" | "stored" | "failed" | "unavailable";

export interface Track {
  kind?: "video" | "audio";
  name?: string;
  codec: string;
  bitrate_bps?: number | null;
  width?: number | null;
  height?: number | null;
  frame_rate?: number | null;
  channels?: number | null;
  sample_rate?: number | null;
}

export interface RoomSummary {
  room: string;
  state: RoomState;
  /** RFC 3339. */
  live_since: string | null;
  viewers: { whep: number; hls: number };
  tracks: Track[];
  hls: { state: HlsState; reason: string | null };
  recording: {
    state: RoomRecordingState;
    recording: string | null;
    reason: string | null;
  };
}

/** One thing that is wrong with what a publisher sends. */
export interface Finding {
  code: string;
  track: "audio" | "video";
  detail: string;
  advice: string;
}

export interface RoomDetails extends RoomSummary {
  report: Finding[];
  /** What each actor of the room says about itself; for people who look for a fault. */
  actors?: unknown;
}

export type RecordingState = "live" | "complete" | "recovered";

export interface RecordingSummary {
  room: string;
  recording: string;
  state: RecordingState;
  start: string;
  end: string | null;
  duration_ms: number;
  bytes: number;
  stored_bytes: number;
  tracks: Track[];
  objects?: string[];
}

export interface Manifest {
  room: string;
  recording: string;
  state: RecordingState;
  server?: string;
  start: string;
  end: string | null;
  duration_ms: number;
  tracks: Track[];
  segments: { name: string; start_ms: number; duration_ms: number; bytes: number }[];
  gaps: { start_ms: number; duration_ms: number; reason: string }[];
  objects?: { name: string; bytes: number }[];
}
