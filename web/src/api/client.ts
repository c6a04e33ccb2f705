/* Requests of a logged-in user: the token against cross-site requests, and a login in between if need be. */

import { asFailure } from "./failure";
import * as session from "./session";
import { send, type Envelope, type Method, type Parameters } from "./transport";

export interface Options {
  signal?: AbortSignal;
  /** A refused ticket is an ordinary failure here: during a join the node changes its keys. */
  quiet?: boolean;
}

/** GET; the data alone. Throws ApiFailure. */
export async function get<T>(path: string, parameters: Parameters = {}, options: Options = {}): Promise<T> {
  return (await call<T>("GET", path, parameters, options)).data;
}

/** A change. When the session has ended it waits for the login and is sent again. Throws ApiFailure. */
export async function change<T>(
  method: Exclude<Method, "GET">,
  path: string,
  parameters: Parameters = {},
): Promise<T> {
  return (await call<T>(method, path, parameters, {})).data;
}

export async function call<T>(
  method: Method,
  path: string,
  parameters: Parameters,
  options: Options,
): Promise<Envelope<T>> {
  for (;;) {
    const csrf = session.current()?.csrf;
    const headers: Record<string, string> = method === "GET" || !csrf ? {} : { CSRFPreventionToken: csrf };
    try {
      return await send<T>(method, path, parameters, headers, options.signal);
    } catch (error) {
      if (options.signal?.aborted) throw error;
      const failure = asFailure(error);
      if (failure.status !== 401 || options.quiet || session.toleratesRefusals()) throw failure;
      const again = session.untilLoggedIn();
      session.expire();
      await again;
    }
  }
}

/** A path from parts, each escaped: `path("nodes", name, "status")`. */
export function path(...parts: string[]): string {
  return parts.map((part) => `/${encodeURIComponent(part)}`).join("");
}
