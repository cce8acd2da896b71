// What a way of playing tells the page while it plays.

import type { RoomState } from "../api/types.ts";
import type { StreamStats } from "../rtc/stats.ts";

export interface PlayHooks {
  /** The picture moves. */
  playing(): void;
  /** The connection stands but nothing comes. */
  stalled(): void;
  /** Once a second. */
  stats(stats: StreamStats & { delay_ms: number | undefined }): void;
  /** The state of the room as far as the page has heard; undefined when it has not. */
  room(): RoomState | undefined;
}
