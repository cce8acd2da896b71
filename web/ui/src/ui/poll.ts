// Repeating a request while somebody looks.

import { sleep } from "../backoff.ts";

/**
 * Calls `act`, then again `period_ms` after each call has ended, until `signal` aborts. Pauses while the
 * page is hidden and goes on the moment it is seen again. `act` deals with its own failures.
 */
export async function poll(period_ms: number, signal: AbortSignal, act: () => Promise<void>): Promise<void> {
  while (!signal.aborted) {
    await act();
    await sleep(period_ms, signal);
    if (document.hidden) await visible(signal);
  }
}

function visible(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (document.hidden && !signal.aborted) return;
      document.removeEventListener("visibilitychange", look);
      resolve();
    };
    document.addEventListener("visibilitychange", look);
    signal.addEventListener("abort", look, { once: true });
    look();
  });
}
