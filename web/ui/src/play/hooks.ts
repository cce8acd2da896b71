// What a way of playing tells the page while it plays.

import type { StreamStats } from "../rtc/stats.ts";

export interface PlayHooks {
  /** The picture moves. */
  playing(): void;
  /** The connection stands but nothing comes. */
  stalled(): void;
  /** Once a second. */
  stats(stats: StreamStats & { delay_ms: number | undefined }): void;
  /** Says whether the room is live, as far as the page has heard; undefined when it has not. */
  isLive(): boolean | undefined;
}
