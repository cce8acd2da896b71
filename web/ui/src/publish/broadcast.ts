// A broadcast that holds: it publishes over WHIP and comes back by itself until it is stopped.

import { ApiError, describe } from "../api/problem.ts";
import { backoffMs, sleep } from "../backoff.ts";
import { EndedByServerError, RtcSession } from "../rtc/session.ts";
import { publisherStats, type Counters, type StreamStats } from "../rtc/stats.ts";
import type { PageState } from "../ui/status.ts";

export interface BroadcastHooks {
  state(state: PageState, sentence: string): void;
  /** Once a second while live. */
  stats(stats: StreamStats): void;
}

const OPEN_MS = 15_000;
const CONNECT_MS = 10_000;
/** Somebody else went live in our place. */
export class TakenOverError extends Error {
  override readonly name = "TakenOverError";
}

/** Tries (about 35 s) in which "somebody broadcasts already" may be our own session that broke off. */
const OWN_ECHO_TRIES = 6;

/** What a broadcast sends. */
export interface Quality {
  /** Undefined leaves the bitrate to the browser. */
  maxBitrate_bps: number | undefined;
  /** Whether smaller pictures are sent beside the large one (RFC 8853). */
  isSimulcast: boolean;
}

/** The smaller pictures, smallest first: what a slow phone link carries, and what most others do. */
const SMALLER: RTCRtpEncodingParameters[] = [
  { rid: "q", scaleResolutionDownBy: 4, maxBitrate: 200_000 },
  { rid: "h", scaleResolutionDownBy: 2, maxBitrate: 700_000 },
];

export class Broadcast {
  readonly #room: string;
  readonly #hooks: BroadcastHooks;
  #stream: MediaStream;
  #quality: Quality;
  #session: RtcSession | undefined;

  constructor(room: string, stream: MediaStream, quality: Quality, hooks: BroadcastHooks) {
    this.#room = room;
    this.#hooks = hooks;
    this.#stream = stream;
    this.#quality = quality;
  }

  /**
   * Broadcasts until `signal` aborts. Throws what trying again cannot mend: a refusal, a room that is
   * taken. `mayTakeOver` ends another's broadcast in the room, once.
   */
  async run(mayTakeOver: boolean, signal: AbortSignal): Promise<void> {
    let failures = 0;
    let wasLive = false;
    let wasEnded = false;
    this.#hooks.state("connecting", "Connecting…");
    while (!signal.aborted) {
      const session = this.#open(mayTakeOver && !wasLive);
      const end = (): void => session.close();
      signal.addEventListener("abort", end);
      let reason: unknown;
      try {
        await session.open(OPEN_MS);
        await session.connected(CONNECT_MS);
        [failures, wasLive, wasEnded] = [0, true, false];
        this.#hooks.state("live", "You are live.");
        reason = await this.#measure(session, signal);
        wasEnded = reason instanceof EndedByServerError;
      } catch (error) {
        const isTaken = wasLive && error instanceof ApiError && error.isTaken;
        // The server has let go of our session, so the one in the room is not ours.
        if (isTaken && wasEnded && !signal.aborted) throw new TakenOverError("Somebody else has gone live in this room.");
        const isEcho = isTaken && failures < OWN_ECHO_TRIES;
        if (error instanceof ApiError && !error.isPassing && !isEcho && !signal.aborted) throw error;
        reason = error;
      } finally {
        signal.removeEventListener("abort", end);
        session.close();
      }
      if (signal.aborted) return;
      const pause_ms = backoffMs(failures++);
      this.#hooks.state("reconnecting", `${describe(reason)} Trying again in ${pause_ms / 1000} s.`);
      await sleep(pause_ms, signal);
    }
  }

  /** Sends other tracks from now on, without a new connection. A track that was not there cannot be added. */
  async replace(stream: MediaStream): Promise<void> {
    this.#stream = stream;
    for (const sender of this.#session?.pc.getSenders() ?? []) {
      const track = stream.getTracks().find(({ kind }) => kind === sender.track?.kind);
      if (track) await sender.replaceTrack(track);
    }
  }

  /** Caps the bitrate of the large picture; undefined leaves it to the browser. */
  async limit(maxBitrate_bps: number | undefined): Promise<void> {
    this.#quality = { ...this.#quality, maxBitrate_bps };
    const sender = this.#session?.pc.getSenders().find(({ track }) => track?.kind === "video");
    const parameters = sender?.getParameters();
    const encoding = parameters?.encodings.at(-1);
    if (!sender || !parameters || !encoding) return;
    if (maxBitrate_bps === undefined) delete encoding.maxBitrate;
    else encoding.maxBitrate = maxBitrate_bps;
    await sender.setParameters(parameters);
  }

  #open(takeover: boolean): RtcSession {
    const pc = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
    window.onair.pc = pc;
    for (const track of this.#stream.getTracks()) {
      const transceiver = pc.addTransceiver(track, {
        direction: "sendonly",
        streams: [this.#stream],
        sendEncodings: track.kind === "video" ? encodings(this.#quality) : [{}],
      });
      if (track.kind !== "video") continue;
      preferH264(transceiver);
      void keepResolution(transceiver.sender);
    }
    this.#session = new RtcSession(pc, `/whip/${this.#room}${takeover ? "?takeover=1" : ""}`);
    return this.#session;
  }

  async #measure(session: RtcSession, signal: AbortSignal): Promise<Error> {
    let counters: Counters | undefined;
    const measure = async (): Promise<void> => {
      const report = await session.pc.getStats();
      const stats = publisherStats([...report.values()] as object[], counters);
      counters = stats.counters;
      if (!signal.aborted) this.#hooks.stats(stats);
    };
    const timer = setInterval(() => void measure(), 1000);
    return session.lost.finally(() => clearInterval(timer));
  }
}

function encodings({ maxBitrate_bps, isSimulcast }: Quality): RTCRtpEncodingParameters[] {
  const large: RTCRtpEncodingParameters = maxBitrate_bps === undefined ? {} : { maxBitrate: maxBitrate_bps };
  return isSimulcast ? [...SMALLER, { rid: "f", ...large }] : [large];
}

// A browser that may choose begins at 320 × 180 and takes twenty seconds to reach 720p, in steps that each
// begin a new initialisation segment of HLS and of the recording. The resolution is the broadcaster's choice;
// a slow network costs frames instead.
async function keepResolution(sender: RTCRtpSender): Promise<void> {
  const parameters: RTCRtpSendParameters & { degradationPreference?: string } = sender.getParameters();
  parameters.degradationPreference = "maintain-resolution";
  // Browsers without this preference keep their own way.
  await sender.setParameters(parameters).catch(() => undefined);
}

// H.264 is what most viewers decode in hardware and what HLS players take. Baseline packed by
// fragments (mode 1) comes first: it is the profile every WebRTC peer must have.
function preferH264(transceiver: RTCRtpTransceiver): void {
  const codecs = RTCRtpSender.getCapabilities("video")?.codecs ?? [];
  const rank = ({ mimeType, sdpFmtpLine = "" }: { mimeType: string; sdpFmtpLine?: string }): number => {
    if (mimeType !== "video/H264") return 2;
    return /packetization-mode=1/.test(sdpFmtpLine) && /profile-level-id=42e0/i.test(sdpFmtpLine) ? 0 : 1;
  };
  try {
    transceiver.setCodecPreferences?.([...codecs].sort((a, b) => rank(a) - rank(b)));
  } catch {
    // A browser that dislikes the list keeps its own order: the broadcast works all the same.
  }
}
