/* Data of the API in components: read now, again after a while, and when somebody says it changed. */

import { useCallback, useEffect, useRef, useState, useSyncExternalStore } from "react";

import { call } from "./client";
import type { Topic } from "./events";
import { asFailure, type ApiFailure } from "./failure";
import type { ParametersOf, PathOf, ResultOf } from "./operations";
import { keepReading, SLOW_MS, type Reading } from "./polling";
import * as session from "./session";

export interface Polled<T> {
  /** What came last; stays when a later read fails. */
  data: T | undefined;
  failure: ApiFailure | undefined;
  /** Of operations that tell it beside the data: the difference of what waits for being applied. */
  changes: string | undefined;
  /** Of lists that are read in parts: how many entries there are. */
  total: number | undefined;
  reload: () => void;
}

interface Found<T> {
  key: string | null;
  data?: T;
  failure?: ApiFailure;
  changes?: string | undefined;
  total?: number | undefined;
}

/** Read `path` now, every `seconds` (0: not again) and when one of `topics` has changed; nothing while `path` is
 * null or the page is hidden. While changes are told, `toldSeconds` take the place of `seconds`: give them where
 * the answer also changes by what is not told. */
export function usePolled<P extends PathOf<"GET">>(
  path: P | null,
  parameters: ParametersOf<"GET", P>,
  seconds = 0,
  topics: readonly Topic[] = [],
  toldSeconds = SLOW_MS / 1000,
): Polled<ResultOf<"GET", P>> {
  const key = path === null ? null : JSON.stringify([path, parameters]);
  const [found, setFound] = useState<Found<ResultOf<"GET", P>>>({ key });
  const reading = useRef<Reading>(undefined);
  const reload = useCallback(() => reading.current?.reload(), []);
  const hears = topics.join(" ");
  useEffect(() => {
    if (key === null) return;
    const [where, what] = JSON.parse(key) as [P, ParametersOf<"GET", P>];
    const read = async (signal: AbortSignal): Promise<boolean> => {
      if (document.hidden) return true;
      try {
        const { data, changes, total } = await call("GET", where, what, { signal });
        setFound({ key, data, changes, total });
        return true;
      } catch (error) {
        if (signal.aborted) return true;
        const failure = asFailure(error);
        setFound((before) => ({ ...(before.key === key ? before : { key }), failure }));
        return false;
      }
    };
    const mine = keepReading(read, {
      periodMs: seconds * 1000,
      topics: hears === "" ? [] : (hears.split(" ") as Topic[]),
      toldMs: toldSeconds * 1000,
    });
    reading.current = mine;
    return () => {
      mine.stop();
      reading.current = undefined;
    };
  }, [key, seconds, toldSeconds, hears]);
  const fresh = found.key === key;
  const { data, failure, changes, total }: Omit<Found<ResultOf<"GET", P>>, "key"> = fresh ? found : {};
  return { data, failure, changes, total, reload };
}

export function useSession(): ReturnType<typeof session.getState> {
  return useSyncExternalStore(session.subscribe, session.getState);
}

/** The newest value in callbacks that outlive a render. */
export function useLatest<T>(value: T): { readonly current: T } {
  const ref = useRef(value);
  useEffect(() => {
    ref.current = value;
  });
  return ref;
}
