// ICE servers out of HTTP `Link` headers (RFC 8288; their use in WHIP: RFC 9725 §4.6).

export interface Link {
  target: string;
  /** Parameter names in lower case; the first of a repeated name counts. */
  params: Map<string, string>;
}

/**
 * Reads every link of a `Link` header. `fetch` joins repeated headers with a comma, so commas part
 * links unless they stand in `<…>` or in quotes. What cannot be read is skipped.
 */
export function parseLinks(header: string): Link[] {
  const links: Link[] = [];
  const target = /\s*<([^>]*)>/y;
  const param = /\s*;\s*([^\s=;,"]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*)))?/y;
  let at = 0;
  while (at < header.length) {
    target.lastIndex = at;
    const found = target.exec(header);
    if (!found) {
      const comma = header.indexOf(",", at);
      if (comma < 0) break;
      at = comma + 1;
      continue;
    }
    at = target.lastIndex;
    const params = new Map<string, string>();
    for (param.lastIndex = at; ; at = param.lastIndex) {
      const match = param.exec(header);
      if (!match) break;
      const name = (match[1] ?? "").toLowerCase();
      const value = match[2]?.replace(/\\(.)/g, "$1") ?? match[3] ?? "";
      if (!params.has(name)) params.set(name, value);
    }
    links.push({ target: found[1] ?? "", params });
  }
  return links;
}

/** The `rel="ice-server"` links of a header, as `RTCPeerConnection` wants them. */
export function iceServers(header: string | null): RTCIceServer[] {
  return parseLinks(header ?? "")
    .filter(({ params }) => params.get("rel")?.split(/\s+/).includes("ice-server"))
    .filter(({ target }) => /^(stun|turn)s?:/i.test(target))
    .map(({ target, params }) => {
      const username = params.get("username");
      const credential = params.get("credential");
      if (username === undefined || credential === undefined) return { urls: target };
      return { urls: target, username, credential };
    });
}
