// Trying again: how long to wait, and waiting that ends early when nobody wants the result any more.

const LONGEST_S = 10;

/** The pause before try number `failures` + 1, in milliseconds: 1, 2, 4, 8, then always 10 s. */
export function backoffMs(failures: number): number {
  return Math.min(LONGEST_S, 2 ** Math.min(failures, 10)) * 1000;
}

/** Resolves after `ms`, or at once when `signal` aborts: the caller looks at `signal.aborted` anyway. */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
  });
}
