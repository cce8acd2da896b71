// Which page a path means. Pure: no window, no history.

export type Route =
  | { page: "rooms" }
  | { page: "publish"; room: string }
  | { page: "watch"; room: string }
  | { page: "recordings" }
  | { page: "recording"; room: string; recording: string }
  | { page: "not-found" };

const NAME = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$/;

/** Says whether the server accepts `name` for a room: 1 to 64 of `A-Z a-z 0-9 . _ -`, no leading dot. */
export function isRoomName(name: string): boolean {
  return NAME.test(name);
}

/** Maps a URL path to its page. A trailing slash is allowed; names that no room can have are not found. */
export function matchRoute(pathname: string): Route {
  const parts = decodeSegments(pathname);
  if (!parts) return { page: "not-found" };
  const [page, first, second] = parts;
  if (page === undefined) return { page: "rooms" };
  if (page === "recordings" && parts.length === 1) return { page: "recordings" };
  if (first === undefined || !isRoomName(first)) return { page: "not-found" };
  if (parts.length === 2 && (page === "publish" || page === "watch")) return { page, room: first };
  if (parts.length === 3 && page === "recordings" && second !== undefined && isRoomName(second)) {
    return { page: "recording", room: first, recording: second };
  }
  return { page: "not-found" };
}

function decodeSegments(pathname: string): string[] | undefined {
  const trimmed = pathname.replace(/^\//, "").replace(/\/$/, "");
  if (trimmed === "") return [];
  try {
    return trimmed.split("/").map(decodeURIComponent);
  } catch {
    return undefined; // a stray % that encodes nothing
  }
}
