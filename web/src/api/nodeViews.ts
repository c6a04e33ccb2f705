/* What several nodes say about the same thing, each asked on its own: one that hangs holds up its own row alone. */

import { useEffect, useState } from "react";

import { get } from "./client";
import { ApiFailure, asFailure } from "./failure";
import type { ResultOf } from "./operations";

export interface NodeView<T> {
  /** What came last; stays when a later answer does not come. */
  data?: T;
  failure?: ApiFailure;
}

/** Nobody has answered yet where a node is missing. */
export type NodeViews<T> = Readonly<Record<string, NodeView<T>>>;

type Path = "/nodes/{node}/corosync/links" | "/nodes/{node}/corosync/qdevice";

const PERIOD_MS = 5000;
export const PATIENCE_MS = 10_000;

/** The nodes' views, read again every few seconds while the page is looked at. */
export function useNodeViews<P extends Path>(path: P, nodes: readonly string[]): NodeViews<ResultOf<"GET", P>> {
  const [views, setViews] = useState<NodeViews<ResultOf<"GET", P>>>({});
  const names = nodes.join(" ");
  useEffect(
    () =>
      watch(
        names === "" ? [] : names.split(" "),
        // Every one of these paths takes the node alone
        (node, signal) => get(path, { node } as Parameters<typeof get<P>>[1], { signal }),
        setViews,
      ),
    [path, names],
  );
  return views;
}

/** Read every node's view in turn and tell all of them after each answer, until the returned function is called. */
export function watch<T>(
  nodes: readonly string[],
  read: (node: string, signal: AbortSignal) => Promise<T>,
  tell: (views: NodeViews<T>) => void,
): () => void {
  const abort = new AbortController();
  const timers = new Map<string, ReturnType<typeof setTimeout>>();
  let views: NodeViews<T> = {};
  tell(views);
  const look = async (node: string): Promise<void> => {
    if (!document.hidden) {
      const view = await ask(node, read, abort.signal);
      if (abort.signal.aborted) return;
      views = { ...views, [node]: { ...views[node], failure: undefined, ...view } };
      tell(views);
    }
    timers.set(node, setTimeout(() => void look(node), PERIOD_MS));
  };
  for (const node of nodes) void look(node);
  return () => {
    abort.abort();
    for (const timer of timers.values()) clearTimeout(timer);
  };
}

async function ask<T>(
  node: string,
  read: (node: string, signal: AbortSignal) => Promise<T>,
  over: AbortSignal,
): Promise<NodeView<T>> {
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), PATIENCE_MS);
  try {
    return { data: await read(node, AbortSignal.any([over, limit.signal])) };
  } catch (error) {
    if (!limit.signal.aborted) return { failure: asFailure(error) };
    return { failure: new ApiFailure(0, `${node} gave no answer within ${PATIENCE_MS / 1000} s.`) };
  } finally {
    clearTimeout(timer);
  }
}
