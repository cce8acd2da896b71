// SDP fragments for trickle ICE and ICE restart (RFC 8840 §9, RFC 9725 §4.3). Pure text.

export interface IceCredentials {
  ufrag: string;
  pwd: string;
}

/** The first ICE user name fragment and password of a description; undefined when it has none. */
export function iceCredentials(sdp: string): IceCredentials | undefined {
  const ufrag = attribute(sdp, "ice-ufrag");
  const pwd = attribute(sdp, "ice-pwd");
  return ufrag !== undefined && pwd !== undefined ? { ufrag, pwd } : undefined;
}

/**
 * Builds the fragment that announces `candidates` (`candidate:…` lines as browsers give them) of the
 * bundle that `sdp` offers. Everything is bundled, so one media section, the first, carries them all.
 */
export function sdpFragment(sdp: string, candidates: string[], isLast: boolean): string {
  const lines = splitLines(sdp);
  const group = lines.find((line) => line.startsWith("a=group:BUNDLE"));
  const media = lines.find((line) => line.startsWith("m=")) ?? "m=audio 9 UDP/TLS/RTP/SAVPF 0";
  const ice = iceCredentials(sdp);
  const fragment = [
    ...(group ? [group] : []),
    ...(ice ? [`a=ice-ufrag:${ice.ufrag}`, `a=ice-pwd:${ice.pwd}`] : []),
    media,
    `a=mid:${attribute(sdp, "mid") ?? "0"}`,
    ...candidates.map((candidate) => `a=${candidate.replace(/^a=/, "")}`),
    ...(isLast ? ["a=end-of-candidates"] : []),
  ];
  return fragment.join("\r\n") + "\r\n";
}

/**
 * Puts the credentials and candidates of a server's restart `fragment` in place of those of `sdp`, the
 * answer in force. Undefined when the fragment names no credentials.
 */
export function applyFragment(sdp: string, fragment: string): string | undefined {
  const ice = iceCredentials(fragment);
  if (!ice) return undefined;
  const isCandidate = (line: string): boolean => /^a=(candidate:|end-of-candidates)/.test(line);
  const fresh = splitLines(fragment).filter(isCandidate);
  let isFirstMid = true;
  const lines = splitLines(sdp).filter((line) => !isCandidate(line)).flatMap((line) => {
    if (line.startsWith("a=ice-ufrag:")) return [`a=ice-ufrag:${ice.ufrag}`];
    if (line.startsWith("a=ice-pwd:")) return [`a=ice-pwd:${ice.pwd}`];
    if (!line.startsWith("a=mid:") || !isFirstMid) return [line];
    isFirstMid = false;
    return [line, ...fresh];
  });
  return lines.join("\r\n") + "\r\n";
}

function attribute(sdp: string, name: string): string | undefined {
  const prefix = `a=${name}:`;
  return splitLines(sdp).find((line) => line.startsWith(prefix))?.slice(prefix.length).trim();
}

function splitLines(sdp: string): string[] {
  return sdp.split(/\r?\n/).filter((line) => line !== "");
}
