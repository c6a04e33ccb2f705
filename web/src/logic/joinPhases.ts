/* What a joining node's answers mean for the person who waits. Events in, phase out. */

import { resultOf } from "./upid";

export type JoinPhase = "running" | "restarting" | "joined" | "failed";

export type Observation =
  | { kind: "running" }
  | { kind: "stopped"; exit: string }
  /** The API answers and does not take the ticket any more: signed with the node's former key. */
  | { kind: "refused" }
  /** An error of a service that is just starting, or no answer for long. */
  | { kind: "silent" }
  /** No connection, at once: nothing listens, or the browser does not trust the certificate. It does not tell which. */
  | { kind: "unreachable" };

export interface JoinState {
  phase: JoinPhase;
  reason: string;
  /** Refusals in a row. */
  refusals: number;
  /** Since when nothing good came, in ms. */
  since: number | undefined;
  isSlow: boolean;
  /** Since when there is no connection at all, in ms. */
  unreachable: number | undefined;
  /** Only the browser itself can show what is wrong: the page has to be loaded anew. */
  mustReload: boolean;
}

export const START: JoinState = {
  phase: "running",
  reason: "",
  refusals: 0,
  since: undefined,
  isSlow: false,
  unreachable: undefined,
  mustReload: false,
};

/** So many refusals in a row: the restart of the services is over then, and not just beginning. */
const ENOUGH_REFUSALS = 6;
const SLOW_MS = 60_000;
/** The services are back sooner. A browser that does not trust the new certificate would wait for ever. */
export const UNREACHABLE_MS = 20_000;

export function nextPhase(state: JoinState, event: Observation, now: number): JoinState {
  if (state.phase === "joined" || state.phase === "failed") return state;
  if (event.kind === "stopped") {
    const result = resultOf(event.exit);
    const good = result === "ok" || result === "warning";
    return { ...START, phase: good ? "joined" : "failed", reason: good ? "" : event.exit };
  }
  if (event.kind === "running") return START;
  const since = state.since ?? now;
  const refusals = event.kind === "refused" ? state.refusals + 1 : 0;
  if (refusals >= ENOUGH_REFUSALS) return { ...START, phase: "joined" };
  const unreachable = event.kind === "unreachable" ? (state.unreachable ?? now) : undefined;
  const mustReload = unreachable !== undefined && now - unreachable >= UNREACHABLE_MS;
  return { phase: "restarting", reason: "", refusals, since, isSlow: now - since >= SLOW_MS, unreachable, mustReload };
}
