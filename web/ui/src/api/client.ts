// Requests to the server: the token goes along, failures become one kind of error, and a refused
// token is asked for once.

import { ApiError, problemOf, UNREACHABLE } from "./problem.ts";
import { authHeaders, keepToken } from "./token.ts";

/** Asks the user for a token because of `problem`; undefined when they would rather not. */
export type TokenPrompt = (problem: ApiError) => Promise<string | undefined>;

let prompt: TokenPrompt | undefined;
let asking: Promise<boolean> | undefined;
let hasDeclined = false;

/** Sets who asks for tokens. */
export function setTokenPrompt(ask: TokenPrompt): void {
  prompt = ask;
}

/** Lets the next refusal ask again, after the user declined: called on navigation and on demand. */
export function allowTokenPrompt(): void {
  hasDeclined = false;
}

/**
 * Fetches `url` with the token. Resolves with a 2xx response only; throws an `ApiError` otherwise. On
 * 401 and 403 asks for a token and tries again for as long as one is given.
 */
export async function request(url: string, init: RequestInit = {}): Promise<Response> {
  for (;;) {
    const response = await send(url, init);
    if (response.ok) return response;
    const problem = await problemOf(response);
    if (!problem.isRefused || !(await askToken(problem))) throw problem;
  }
}

/** Fetches `url` with the token and answers whatever the server says; throws only when nothing answers. */
export async function send(url: string, init: RequestInit = {}): Promise<Response> {
  const headers = { ...(init.headers as Record<string, string> | undefined), ...authHeaders() };
  try {
    return await fetch(url, { ...init, headers });
  } catch (error) {
    if (init.signal?.aborted && (error as Error).name === "AbortError") throw error;
    throw new ApiError(0, UNREACHABLE, "The server does not answer", "Check the connection, and that the server runs.");
  }
}

/** Fetches JSON. The server's shapes are trusted, for the pages and the server are one release. */
export async function getJson<T>(url: string, signal: AbortSignal): Promise<T> {
  const response = await request(url, { signal, headers: { Accept: "application/json" } });
  return (await response.json()) as T;
}

// Several requests may be refused at once: they share one question and its answer.
function askToken(problem: ApiError): Promise<boolean> {
  if (hasDeclined || !prompt) return Promise.resolve(false);
  asking ??= prompt(problem)
    .then((token) => {
      hasDeclined = token === undefined;
      if (token !== undefined) keepToken(token);
      return token !== undefined;
    })
    .finally(() => (asking = undefined));
  return asking;
}
