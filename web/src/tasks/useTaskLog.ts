/* A task's log as it grows: only what is new is fetched. */

import { useEffect, useState } from "react";

import { get } from "../api/client";
import { asFailure, type ApiFailure } from "../api/failure";

const PERIOD_MS = 1000;
const CHUNK = 500;
/** A browser shows no more in reasonable time; the rest is in the node's file. */
const MAX_LINES = 20_000;

export function useTaskLog(node: string, upid: string, isOver: boolean): { lines: string[]; failure: ApiFailure | undefined } {
  const [lines, setLines] = useState<string[]>([]);
  const [failure, setFailure] = useState<ApiFailure>();
  useEffect(() => {
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let seen: string[] = [];
    const read = async (): Promise<void> => {
      let isFull = false;
      try {
        const parameters = { node, upid, start: seen.length, limit: CHUNK };
        const found = await get("/nodes/{node}/tasks/{upid}/log", parameters, { signal: abort.signal });
        // An empty log answers with one line that says so, which must not stay as the first one
        const fresh = found.filter((line) => line.n > seen.length && line.t !== "no content").map((line) => line.t);
        isFull = found.length >= CHUNK && seen.length < MAX_LINES;
        if (fresh.length > 0) {
          seen = [...seen, ...fresh];
          setLines(seen);
        }
        setFailure(undefined);
      } catch (error) {
        if (abort.signal.aborted) return;
        setFailure(asFailure(error));
      }
      if (isFull) void read();
      else if (!isOver && !abort.signal.aborted) timer = setTimeout(() => void read(), PERIOD_MS);
    };
    void read();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [node, upid, isOver]);
  return { lines, failure };
}
