// Keeps a phone's screen on: with the screen, most phones put the camera to sleep.

/** Holds the screen awake until `signal` aborts, and takes the lock again after the page was hidden. */
export function keepAwake(signal: AbortSignal): void {
  let lock: WakeLockSentinel | undefined;
  const hold = async (): Promise<void> => {
    if (document.hidden || signal.aborted) return;
    // Refused on low battery and absent in some browsers: the broadcast goes on without.
    lock = await navigator.wakeLock?.request("screen").catch(() => undefined);
    if (signal.aborted) await lock?.release();
  };
  document.addEventListener("visibilitychange", () => void hold(), { signal });
  signal.addEventListener("abort", () => void lock?.release());
  void hold();
}
