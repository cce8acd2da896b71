// The access token: kept for this tab only, sent with every request to our own server.

const KEY = "onair.token";

/** The token in use, if any. */
export function currentToken(): string | undefined {
  return sessionStorage.getItem(KEY) ?? undefined;
}

/** Keeps `token` until the tab closes; an empty one forgets it. */
export function keepToken(token: string): void {
  if (token === "") sessionStorage.removeItem(KEY);
  else sessionStorage.setItem(KEY, token);
}

/** The headers that show the token; none without a token. */
export function authHeaders(): Record<string, string> {
  const token = currentToken();
  return token === undefined ? {} : { Authorization: `Bearer ${token}` };
}

/** Says whether `url` may see the token: only the server that these pages came from. */
export function isOwnServer(url: string): boolean {
  return new URL(url, location.href).origin === location.origin;
}
