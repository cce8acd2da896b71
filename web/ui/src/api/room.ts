// One room's state, for pages that look at it every few seconds.

import { send } from "./client.ts";
import type { RoomDetails } from "./types.ts";

/**
 * Fetches what the server says about `room`: null when nobody uses it, undefined when there is no answer
 * or none for this token. Never asks for a token: what a page cannot see, it does without.
 */
export async function lookAtRoom(room: string, signal: AbortSignal): Promise<RoomDetails | null | undefined> {
  try {
    const response = await send(`/api/rooms/${room}`, { signal, headers: { Accept: "application/json" } });
    if (response.status === 404) return null;
    return response.ok ? ((await response.json()) as RoomDetails) : undefined;
  } catch {
    return undefined;
  }
}
