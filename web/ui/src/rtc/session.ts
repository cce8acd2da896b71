// One WHIP or WHEP session (RFC 9725, draft-ietf-wish-whep): offer and answer, trickle ICE, ICE restart,
// end. The two protocols differ only in who sends, and that is settled by the peer connection given.

import { request, send } from "../api/client.ts";
import { iceServers } from "./link.ts";
import { applyFragment, sdpFragment } from "./sdpfrag.ts";

/** No media path was found between this device and the server. */
export class NoPathError extends Error {
  override readonly name = "NoPathError";
}

/** The server said goodbye: it shuts down, or somebody has taken this session's place. */
export class EndedByServerError extends Error {
  override readonly name = "EndedByServerError";
}

const FRAGMENT = "application/trickle-ice-sdpfrag";
/** Short losses of connectivity heal by themselves; longer ones are worth a restart. */
const DISCONNECTED_MS = 3000;
/** A restart that has not connected by then has failed. */
const RESTART_MS = 5000;
/** How long the server may take over a goodbye. */
const REMOVE_MS = 2000;
/** Candidates come in bursts; one PATCH carries a burst. */
const GATHER_MS = 30;

export class RtcSession {
  readonly pc: RTCPeerConnection;
  /** Resolves once, with the reason, when the connection is lost for good. */
  readonly lost: Promise<Error>;
  #lose: (reason: Error) => void = () => undefined;
  readonly #endpoint: string;
  readonly #tune: (sdp: string) => string;
  #url: string | undefined;
  #etag: string | undefined;
  #candidates: string[] = [];
  #isGathered = false;
  #canTrickle = true;
  #gatherTimer: number | undefined;
  #faultTimer: number | undefined;
  #isRestarting = false;
  #isClosed = false;

  /** `tune` may edit every offer before it is used, as far as browsers allow. */
  constructor(pc: RTCPeerConnection, endpoint: string, tune = (sdp: string): string => sdp) {
    this.pc = pc;
    this.#endpoint = endpoint;
    this.#tune = tune;
    this.lost = new Promise((resolve) => (this.#lose = resolve));
    pc.addEventListener("icecandidate", ({ candidate }) => this.#gather(candidate?.candidate));
    pc.addEventListener("iceconnectionstatechange", () => this.#watchIce());
    pc.addEventListener("connectionstatechange", () => {
      // ICE has its own watch; a failure while ICE holds is DTLS, which no restart mends.
      const isUp = ["connected", "completed"].includes(pc.iceConnectionState);
      if (pc.connectionState === "failed" && isUp) this.#lose(new Error("The secure connection failed."));
    });
  }

  /** Posts the offer and applies the answer. Throws `ApiError` when the server refuses or does not answer. */
  async open(timeout_ms: number): Promise<void> {
    const offer = await this.#offer({});
    const response = await request(this.#endpoint, {
      method: "POST",
      headers: { "Content-Type": "application/sdp" },
      body: offer.sdp,
      signal: AbortSignal.timeout(timeout_ms),
    });
    const sdp = await response.text();
    const location = response.headers.get("location");
    this.#url = location ? new URL(location, response.url).href : undefined;
    this.#etag = response.headers.get("etag") ?? undefined;
    if (this.#isClosed) return this.#remove();
    // The local description is set only now, so that gathering begins with the servers just learnt.
    const servers = iceServers(response.headers.get("link"));
    if (servers.length > 0) this.pc.setConfiguration({ ...this.pc.getConfiguration(), iceServers: servers });
    await this.pc.setLocalDescription(offer);
    await this.pc.setRemoteDescription({ type: "answer", sdp });
    this.#watchGoodbye();
  }

  /** Resolves when media can flow; throws `NoPathError` after `timeout_ms` without a path. */
  async connected(timeout_ms: number): Promise<void> {
    let timer: number | undefined;
    const path = new Promise<void>((resolve, reject) => {
      const look = (): void => {
        if (this.pc.connectionState === "connected") resolve();
      };
      this.pc.addEventListener("connectionstatechange", look);
      look();
      void this.lost.then(reject);
      timer = window.setTimeout(() => reject(new NoPathError("No media path to the server was found.")), timeout_ms);
    });
    await path.finally(() => clearTimeout(timer));
  }

  /** Ends the session here and on the server; also while the page is being left. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#gatherTimer);
    clearTimeout(this.#faultTimer);
    // Nothing is sent from here on, but the connection outlives the DELETE: its closing alert, if it came
    // first, would look like a connection that broke, and the server would keep the place for our return.
    for (const sender of this.pc.getSenders()) void sender.replaceTrack(null);
    void this.#remove().finally(() => this.pc.close());
    this.#lose(new Error("The session was closed."));
  }

  async #offer(options: RTCOfferOptions): Promise<{ type: "offer"; sdp: string }> {
    const { sdp = "" } = await this.pc.createOffer(options);
    return { type: "offer", sdp: this.#tune(sdp) };
  }

  async #remove(): Promise<void> {
    const url = this.#url;
    this.#url = undefined;
    if (!url) return;
    // `keepalive` lets the request outlive the page. Nobody is left to mind a failure: the server
    // ends a silent session by itself.
    await send(url, { method: "DELETE", keepalive: true, signal: AbortSignal.timeout(REMOVE_MS) }).catch(() => undefined);
  }

  /** The server ends sessions with a DTLS alert; the state of ICE would show it many seconds later. */
  #watchGoodbye(): void {
    const dtls = this.pc.getTransceivers()[0]?.receiver.transport;
    dtls?.addEventListener("statechange", () => {
      if (dtls.state === "closed") this.#lose(new EndedByServerError("The server has ended the session."));
    });
  }

  #watchIce(): void {
    if (this.#isClosed) return;
    switch (this.pc.iceConnectionState) {
      case "connected":
      case "completed":
        clearTimeout(this.#faultTimer);
        this.#isRestarting = false;
        break;
      case "disconnected":
        if (!this.#isRestarting) this.#inCaseOfFault(DISCONNECTED_MS, () => void this.#restart());
        break;
      case "failed":
        if (!this.#isRestarting) void this.#restart();
        break;
      case "closed":
        this.#lose(new Error("The connection was closed."));
    }
  }

  #inCaseOfFault(ms: number, act: () => void): void {
    clearTimeout(this.#faultTimer);
    this.#faultTimer = window.setTimeout(act, ms);
  }

  /** RFC 9725 §4.3: new credentials go up by PATCH, the server's come back, media goes on. */
  async #restart(): Promise<void> {
    this.#isRestarting = true;
    try {
      const answer = this.pc.currentRemoteDescription?.sdp;
      if (!this.#url || !answer) throw new NoPathError("No media path to the server was found.");
      const offer = await this.#offer({ iceRestart: true });
      const response = await this.#patch(sdpFragment(offer.sdp, [], false), "*");
      if (response.status === 404) throw new EndedByServerError("The server has ended the session.");
      if (response.status !== 200) throw new Error("The connection could not be restarted.");
      const sdp = applyFragment(answer, await response.text());
      if (sdp === undefined || this.#isClosed) throw new Error("The connection could not be restarted.");
      this.#etag = response.headers.get("etag") ?? this.#etag;
      this.#candidates = [];
      this.#isGathered = false;
      await this.pc.setLocalDescription(offer);
      await this.pc.setRemoteDescription({ type: "answer", sdp });
      this.#inCaseOfFault(RESTART_MS, () => this.#lose(new Error("The connection was lost.")));
    } catch (error) {
      this.#lose(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #gather(candidate: string | undefined): void {
    if (candidate) this.#candidates.push(candidate);
    else this.#isGathered = true;
    clearTimeout(this.#gatherTimer);
    this.#gatherTimer = window.setTimeout(() => void this.#trickle(), GATHER_MS);
  }

  // A candidate that cannot be told costs a path, not the session: the server's own candidates suffice
  // in most networks, so failures only stop the telling.
  async #trickle(): Promise<void> {
    const sdp = this.pc.localDescription?.sdp;
    if (!sdp || !this.#url || !this.#canTrickle || this.#isClosed) return;
    const fragment = sdpFragment(sdp, this.#candidates.splice(0), this.#isGathered);
    try {
      const response = await this.#patch(fragment, this.#etag);
      // 412 means that a restart overtook this fragment; everything else will not change.
      this.#canTrickle = response.ok || response.status === 412;
    } catch {
      // No answer at all: the watch over the connection deals with a server that is gone.
    }
  }

  #patch(fragment: string, match: string | undefined): Promise<Response> {
    const headers = { "Content-Type": FRAGMENT, ...(match === undefined ? {} : { "If-Match": match }) };
    return send(this.#url ?? this.#endpoint, { method: "PATCH", headers, body: fragment });
  }
}
