/* What went wrong with a request, as the server said it. */

/** `status` 0: no answer at all. `fields` has the server's text per parameter. */
export class ApiFailure extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly fields: Readonly<Record<string, string>> = {},
  ) {
    super(message.trim());
    this.name = "ApiFailure";
  }

  get isUnreachable(): boolean {
    return this.status === 0 || (this.status >= 502 && this.status <= 504);
  }
}

/** Any thrown value as a failure that can be shown. */
export function asFailure(error: unknown): ApiFailure {
  if (error instanceof ApiFailure) return error;
  return new ApiFailure(0, error instanceof Error ? error.message : String(error));
}

/** The failure that an answer of the API describes; `body` is what came, JSON or not. */
export function failureOf(status: number, reason: string, body: string): ApiFailure {
  let message = "";
  let fields: Record<string, string> = {};
  try {
    const found = JSON.parse(body) as { message?: unknown; errors?: unknown } | null;
    if (typeof found?.message === "string") message = found.message;
    if (found?.errors && typeof found.errors === "object") {
      fields = Object.fromEntries(Object.entries(found.errors).map(([key, text]) => [key, String(text)]));
    }
  } catch {
    // no JSON: a plain text or nothing
  }
  return new ApiFailure(status, message || reason || body.slice(0, 500) || `HTTP status ${status}`, fields);
}
