// Tickets: what stands for the token in a URL that the browser itself fetches, such as that of a video or a download.

import { request } from "./client.ts";
import { currentToken } from "./token.ts";

/** A ticket that ends sooner is not worth keeping. */
const SPARE_MS = 60_000;

/** The ticket of each room that this page has shown, and the token that it was issued for. */
const tickets = new Map<string, { token: string; issued: Promise<{ ticket: string; expires: string }> }>();

/** Returns `url`, which shows or stores something of `room`, with all that it needs to be opened without headers. */
export async function openable(url: string, room: string): Promise<string> {
  const token = currentToken();
  if (token === undefined) return url;
  const { ticket } = await ticketFor(room, token);
  return `${url}${url.includes("?") ? "&" : "?"}ticket=${ticket}`;
}

async function ticketFor(room: string, token: string): Promise<{ ticket: string }> {
  const kept = tickets.get(room);
  if (kept?.token === token) {
    const issued = await kept.issued.catch(() => undefined);
    if (issued && Date.parse(issued.expires) - Date.now() > SPARE_MS) return issued;
  }
  const issued = request(`/api/rooms/${room}/ticket`, { method: "POST" }).then((response) => response.json() as Promise<{ ticket: string; expires: string }>);
  tickets.set(room, { token, issued });
  return issued;
}
