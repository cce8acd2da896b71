// What a viewer or a broadcaster wants to know, out of the many records of getStats().

/** Counters of one moment; rates need two of them. */
export interface Counters {
  bytes: number;
  packets: number;
  lost: number;
  at_ms: number;
}

export interface StreamStats {
  bitrate_bps: number | undefined;
  frame_rate: number | undefined;
  width: number | undefined;
  height: number | undefined;
  rtt_ms: number | undefined;
  /** Lost packets of the last interval, 0 to 1. */
  loss: number | undefined;
  /** Mean time a frame waits in the jitter buffer; viewers only. */
  jitter_buffer_ms: number | undefined;
  /** MIME types, video first. */
  codecs: string[];
  /** Why the encoder holds back (`cpu`, `bandwidth`, `other`); broadcasters only. */
  limitation: string | undefined;
  counters: Counters;
}

type Row = Record<string, unknown>;

/** Any iterable of statistics: `report.values()` of a browser, an array in a test. */
export type Rows = Iterable<object>;

/** Sums up what is being sent. `previous` are the counters of the last call; without them there are no rates. */
export function publisherStats(rows: Rows, previous?: Counters): StreamStats {
  const all = [...rows] as Row[];
  const sent = all.filter((row) => row["type"] === "outbound-rtp");
  const remote = all.filter((row) => row["type"] === "remote-inbound-rtp");
  const video = largest(sent.filter((row) => row["kind"] === "video"));
  const limitation = text(video, "qualityLimitationReason");
  const rtt_s = remote.map((row) => number(row, "roundTripTime")).find((rtt) => rtt !== undefined);
  const worst = Math.max(...remote.map((row) => number(row, "fractionLost") ?? 0));
  return {
    ...common(all, sent, "bytesSent", "packetsSent", previous),
    ...picture(video),
    rtt_ms: roundTrip(all) ?? (rtt_s === undefined ? undefined : rtt_s * 1000),
    loss: remote.length > 0 ? worst : undefined,
    jitter_buffer_ms: undefined,
    limitation: limitation === "none" ? undefined : limitation,
  };
}

/** Sums up what is being received; `previous` as for `publisherStats`. */
export function viewerStats(rows: Rows, previous?: Counters): StreamStats {
  const all = [...rows] as Row[];
  const received = all.filter((row) => row["type"] === "inbound-rtp");
  const video = received.find((row) => row["kind"] === "video");
  const stats = common(all, received, "bytesReceived", "packetsReceived", previous);
  const { counters } = stats;
  const lost = previous ? Math.max(0, counters.lost - previous.lost) : 0;
  const expected = previous ? counters.packets - previous.packets + lost : 0;
  const [delay_s, emitted] = [number(video, "jitterBufferDelay"), number(video, "jitterBufferEmittedCount")];
  return {
    ...stats,
    ...picture(video),
    rtt_ms: roundTrip(all),
    loss: expected > 0 ? lost / expected : undefined,
    jitter_buffer_ms: delay_s !== undefined && emitted ? (delay_s / emitted) * 1000 : undefined,
    limitation: undefined,
  };
}

function common(all: Row[], streams: Row[], bytes: string, packets: string, previous?: Counters) {
  const counters: Counters = {
    bytes: sum(streams, bytes),
    packets: sum(streams, packets),
    lost: sum(streams, "packetsLost"),
    at_ms: Math.max(0, ...streams.map((row) => number(row, "timestamp") ?? 0)),
  };
  const elapsed_ms = previous ? counters.at_ms - previous.at_ms : 0;
  const grown = previous ? counters.bytes - previous.bytes : 0;
  // A new connection counts from zero again: no rate rather than a negative one.
  const bitrate_bps = elapsed_ms > 0 && grown >= 0 ? (grown * 8000) / elapsed_ms : undefined;
  return { counters, bitrate_bps, codecs: codecs(all, streams) };
}

/** Of several pictures that are sent at the same time, the largest. */
function largest(videos: Row[]): Row | undefined {
  const height = (row: Row): number => number(row, "frameHeight") ?? 0;
  return videos.reduce<Row | undefined>((best, row) => (best === undefined || height(row) > height(best) ? row : best), undefined);
}

function picture(video: Row | undefined) {
  return {
    frame_rate: number(video, "framesPerSecond"),
    width: number(video, "frameWidth"),
    height: number(video, "frameHeight"),
  };
}

function codecs(all: Row[], streams: Row[]): string[] {
  const ids = new Set(streams.map((row) => row["codecId"]));
  const names = all
    .filter((row) => row["type"] === "codec" && ids.has(row["id"]))
    .flatMap((row) => text(row, "mimeType") ?? []);
  return [...new Set(names)].sort().reverse(); // "video/…" before "audio/…"
}

function roundTrip(all: Row[]): number | undefined {
  const pair = all.find((row) => row["type"] === "candidate-pair" && row["nominated"] === true);
  const rtt_s = number(pair, "currentRoundTripTime");
  return rtt_s === undefined ? undefined : rtt_s * 1000;
}

function sum(rows: Row[], key: string): number {
  return rows.reduce((total, row) => total + (number(row, key) ?? 0), 0);
}

function number(row: Row | undefined, key: string): number | undefined {
  const value = row?.[key];
  return typeof value === "number" ? value : undefined;
}

function text(row: Row | undefined, key: string): string | undefined {
  const value = row?.[key];
  return typeof value === "string" ? value : undefined;
}
