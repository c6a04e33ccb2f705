/* Parts of the page that are loaded when they are first shown. One that could not be loaded can be asked for again;
   React's own `lazy` remembers the failure for ever. */

import { createElement, lazy as reactLazy, type ComponentType, type ReactElement } from "react";

type Load<P> = () => Promise<{ default: ComponentType<P> }>;

/** Why a part is missing: the node did not answer, or it has other files than those that this page knows. */
export class LoadFailure extends Error {
  constructor(cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.name = "LoadFailure";
  }
}

const parts = new Set<() => Promise<unknown>>();
/** Per part that could not be loaded: ask for it again. */
const failed = new Set<() => void>();

/** Use it below a Boundary and a Suspense. A large part is not fetched before somebody opens it. */
export function lazy<P extends object>(load: Load<P>, isLarge = false): (props: P) => ReactElement {
  const get = async (): Promise<{ default: ComponentType<P> }> => {
    try {
      return await load();
    } catch (error) {
      failed.add(renew);
      throw new LoadFailure(error);
    }
  };
  const renew = (): void => {
    Loaded = reactLazy(get);
  };
  let Loaded: ComponentType<P> = reactLazy(get);
  if (!isLarge) parts.add(load);
  return function Part(props: P) {
    return createElement(Loaded, props);
  };
}

/** From now on parts that could not be loaded are asked for again where they are shown. */
export function forgetFailures(): void {
  for (const renew of failed) renew();
  failed.clear();
}

/** Fetch all parts now, so that a node that goes down or is upgraded later takes none of them away. Never fails. */
export async function loadAllParts(): Promise<void> {
  // One after the other: what the person opens meanwhile comes first. Some bring parts of their own.
  for (const load of parts) {
    try {
      await load();
    } catch {
      return; // the node is not there; whoever opens the part is told
    }
  }
}
