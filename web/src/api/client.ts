/* Requests of a logged-in user: the token against cross-site requests, and a login in between if need be. */

import { asFailure } from "./failure";
import type { Method, ParametersOf, PathOf, ResultOf } from "./operations";
import * as session from "./session";
import { send, type Envelope } from "./transport";

export interface Options {
  signal?: AbortSignal;
  /** A refused ticket is an ordinary failure here: during a join the node changes its keys. */
  quiet?: boolean;
}

/** GET; the data alone. Throws ApiFailure. */
export async function get<P extends PathOf<"GET">>(
  path: P,
  parameters: ParametersOf<"GET", P>,
  options: Options = {},
): Promise<ResultOf<"GET", P>> {
  return (await call("GET", path, parameters, options)).data;
}

/** A change. When the session has ended it waits until the same user has logged in again, and is sent then; when
 * the user logs out instead it fails. Throws ApiFailure. */
export async function change<M extends Exclude<Method, "GET">, P extends PathOf<M>>(
  method: M,
  path: P,
  parameters: ParametersOf<M, P>,
): Promise<ResultOf<M, P>> {
  return (await call(method, path, parameters, {})).data;
}

export async function call<M extends Method, P extends PathOf<M>>(
  method: M,
  path: P,
  parameters: ParametersOf<M, P>,
  options: Options,
): Promise<Envelope<ResultOf<M, P>>> {
  const visit = session.currentVisit();
  for (;;) {
    const present = session.current();
    const csrf = present?.csrf;
    const headers: Record<string, string> = method === "GET" || !csrf ? {} : { CSRFPreventionToken: csrf };
    try {
      return await send(method, path, parameters, headers, options.signal);
    } catch (error) {
      if (options.signal?.aborted) throw error;
      const failure = asFailure(error);
      if (failure.status !== 401 || options.quiet || session.toleratesRefusals()) throw failure;
      const isOld = visit === session.currentVisit() && present !== session.current();
      if (isOld) continue; // the ticket was renewed while the answer was on its way
      const again = session.untilLoggedIn(visit, options.signal);
      if (visit === session.currentVisit()) session.expire();
      await again;
    }
  }
}
