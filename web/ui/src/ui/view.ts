// What a page gets to draw itself.

export interface View {
  /** The page's own part of the document, empty. */
  main: HTMLElement;
  /** Aborts when the user goes to another page: timers, listeners and connections end with it. */
  signal: AbortSignal;
  query: URLSearchParams;
  /** Sets the title of the window; the product's name is added. */
  title(text: string): void;
  /** Asks before leaving for as long as `reason` answers with a sentence. */
  guard(reason: () => string | undefined): void;
  /** Goes to another page of this application. */
  go(path: string): void;
}

/** Draws one page; synchronously, at least in outline. */
export type Page = (view: View) => void;
