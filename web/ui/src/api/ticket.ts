// Tickets: what stands for the token in a URL that the browser itself fetches, such as that of a video or a download.

import { request } from "./client.ts";
import { currentToken } from "./token.ts";

/** Returns `url`, which shows or stores something of `room`, with all that it needs to be opened without headers. */
export async function openable(url: string, room: string): Promise<string> {
  if (currentToken() === undefined) return url;
  const response = await request(`/api/rooms/${room}/ticket`, { method: "POST" });
  const { ticket } = (await response.json()) as { ticket: string };
  return `${url}${url.includes("?") ? "&" : "?"}ticket=${ticket}`;
}
