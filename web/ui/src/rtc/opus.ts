// Stereo for viewers. Browsers decode Opus to one channel unless their own description says `stereo=1`
// (RFC 7587 §7.1), and their offers do not say it.

/** Adds `stereo=1` to every Opus payload type of `sdp` that does not speak of it. */
export function withStereo(sdp: string): string {
  const types = [...sdp.matchAll(/^a=rtpmap:(\d+) opus\/48000\/2\s*$/gim)].map((match) => match[1]);
  return types.reduce<string>(
    (text, type) =>
      text.replace(new RegExp(`^(a=fmtp:${type} )(.*?)(\\r?)$`, "m"), (line, head: string, params: string, end: string) =>
        /(^|;)\s*stereo=/.test(params) ? line : `${head}${params};stereo=1${end}`,
      ),
    sdp,
  );
}
