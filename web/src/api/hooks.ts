/* Data of the API in components: read now, again after a while, and when somebody says it changed. */

import { useCallback, useEffect, useRef, useState, useSyncExternalStore } from "react";

import { call } from "./client";
import { listen, type Topic } from "./events";
import { asFailure, type ApiFailure } from "./failure";
import type { ParametersOf, PathOf, ResultOf } from "./operations";
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
 * null or the page is hidden. */
export function usePolled<P extends PathOf<"GET">>(
  path: P | null,
  parameters: ParametersOf<"GET", P>,
  seconds = 0,
  topics: readonly Topic[] = [],
): Polled<ResultOf<"GET", P>> {
  const key = path === null ? null : JSON.stringify([path, parameters]);
  const [found, setFound] = useState<Found<ResultOf<"GET", P>>>({ key });
  const [round, setRound] = useState(0);
  const reload = useCallback(() => setRound((count) => count + 1), []);
  const hears = key === null || seconds === 0 ? "" : topics.join(" ");
  useEffect(() => {
    if (hears === "") return;
    const mine = hears.split(" ") as Topic[];
    return listen((changed) => {
      if (mine.some((topic) => changed.has(topic))) reload();
    });
  }, [hears, reload]);
  useEffect(() => {
    if (key === null) return;
    const [where, what] = JSON.parse(key) as [P, ParametersOf<"GET", P>];
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const read = async (): Promise<void> => {
      try {
        if (!document.hidden) {
          const { data, changes, total } = await call("GET", where, what, { signal: abort.signal });
          setFound({ key, data, changes, total });
        }
      } catch (error) {
        if (abort.signal.aborted) return;
        const failure = asFailure(error);
        setFound((before) => ({ ...(before.key === key ? before : { key }), failure }));
      }
      if (seconds > 0 && !abort.signal.aborted) timer = setTimeout(() => void read(), seconds * 1000);
    };
    void read();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [key, seconds, round]);
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
