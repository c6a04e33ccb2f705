/* One request to this node's API and its envelope (pvecm 6.2, 6.3). Knows nothing of sessions. */

import { ApiFailure, failureOf } from "./failure";
import type { Method, ParametersOf, PathOf, ResultOf } from "./operations";

export type Value = string | number | boolean | readonly string[] | undefined;
export type Parameters = Readonly<Record<string, Value>>;

export interface Envelope<T> {
  data: T;
  total?: number;
  changes?: string;
}

const REQUEST_MS = 60_000;

/** Throws ApiFailure, also when nothing answers. */
export async function send<M extends Method, P extends PathOf<M>>(
  method: M,
  path: P,
  parameters: ParametersOf<M, P>,
  headers: Record<string, string>,
  signal?: AbortSignal,
): Promise<Envelope<ResultOf<M, P>>> {
  const [where, others] = fill(path, parameters as Parameters);
  const body = await exchange(method, where, encode(others), headers, signal);
  try {
    return JSON.parse(body) as Envelope<ResultOf<M, P>>;
  } catch {
    throw new ApiFailure(200, "The answer is not JSON.");
  }
}

/** The answer as it comes, of an operation that gives a text instead of data when it is asked to. Throws ApiFailure. */
export async function sendForText<P extends PathOf<"GET">>(path: P, parameters: ParametersOf<"GET", P>): Promise<string> {
  const [where, others] = fill(path, parameters as Parameters);
  return exchange("GET", where, encode(others), {});
}

async function exchange(
  method: Method,
  where: string,
  form: URLSearchParams,
  headers: Record<string, string>,
  signal?: AbortSignal,
): Promise<string> {
  const inQuery = method === "GET" || method === "DELETE";
  const url = `/api2/json${where}${inQuery && form.size > 0 ? `?${form}` : ""}`;
  const limit = AbortSignal.timeout(REQUEST_MS);
  let response: Response;
  let body: string;
  try {
    response = await fetch(url, {
      method,
      headers: inQuery ? headers : { ...headers, "Content-Type": "application/x-www-form-urlencoded" },
      body: inQuery ? null : form.toString(),
      credentials: "same-origin",
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
    });
    body = await response.text();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiFailure(0, limit.aborted ? `no answer within ${REQUEST_MS / 1000} s` : "The node does not answer.");
  }
  if (!response.ok) throw failureOf(response.status, response.statusText, body);
  return body;
}

/** `/nodes/{node}` with the parameters that it names in their places, each escaped; and those that remain. */
export function fill(path: string, parameters: Parameters): [path: string, others: Parameters] {
  const named = new Set<string>();
  const filled = path.replace(/\{([\w-]+)\}/g, (_, name: string) => {
    named.add(name);
    return encodeURIComponent(String(parameters[name]));
  });
  return [filled, Object.fromEntries(Object.entries(parameters).filter(([name]) => !named.has(name)))];
}

/** Undefined values are left out, booleans are 0 and 1, lists repeat their key. */
export function encode(parameters: Parameters): URLSearchParams {
  const form = new URLSearchParams();
  for (const [key, value] of Object.entries(parameters)) {
    if (value === undefined) continue;
    if (typeof value === "object") for (const item of value) form.append(key, item);
    else form.append(key, typeof value === "boolean" ? (value ? "1" : "0") : String(value));
  }
  return form;
}
