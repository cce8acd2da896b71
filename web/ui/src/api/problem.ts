// What went wrong, in the server's words (RFC 9457) or ours when it had none.

/** The `code` of a request that got no answer at all. */
export const UNREACHABLE = "unreachable";

export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  /** How long the server asks us to wait, in seconds. */
  readonly retryAfter_s: number | undefined;

  constructor(status: number, code: string, title: string, detail = "", retryAfter_s?: number) {
    super(title);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
    this.detail = detail;
    this.retryAfter_s = retryAfter_s;
  }

  /** The server wants a token, or another one. */
  get isRefused(): boolean {
    return this.status === 401 || this.status === 403;
  }

  /** Nothing is broadcast in the room now; it may come. */
  get isNotLive(): boolean {
    return this.code === "room_not_live" || this.code === "room_not_found";
  }

  /** Somebody else broadcasts in the room. */
  get isTaken(): boolean {
    return this.code === "room_has_publisher";
  }

  /** The same request may well succeed later: no answer, overload, a restart. */
  get isPassing(): boolean {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500;
  }
}

/** Reads the problem document of a failed response; answers without one are described by their status. */
export async function problemOf(response: Response): Promise<ApiError> {
  const body: unknown = await response.json().catch(() => undefined);
  const field = (name: string): string | undefined => {
    const value: unknown = body && typeof body === "object" ? (body as Record<string, unknown>)[name] : undefined;
    return typeof value === "string" && value !== "" ? value : undefined;
  };
  const retryAfter_s = Number.parseInt(response.headers.get("retry-after") ?? "", 10);
  return new ApiError(
    response.status,
    field("code") ?? `http_${response.status}`,
    field("title") ?? untitled(response),
    field("detail") ?? "",
    Number.isNaN(retryAfter_s) ? undefined : retryAfter_s,
  );
}

/** Gateways answer for a server that does not. */
function untitled({ status, statusText }: Response): string {
  return [502, 503, 504].includes(status) ? "The server does not answer" : `The server answered ${status} ${statusText}`.trim();
}

/** Says in whole sentences what went wrong. */
export function describe(error: unknown): string {
  if (error instanceof ApiError) return [error.message, error.detail].map(sentence).join(" ").trim();
  return sentence(error instanceof Error ? error.message : String(error));
}

/** The server's details are fragments in lower case. */
function sentence(text: string): string {
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return begun === "" || /[.!?]$/.test(begun) ? begun : `${begun}.`;
}
