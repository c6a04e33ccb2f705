/* A task's log as it grows: only what is new is fetched. */

import { useEffect, useState } from "react";

import { call } from "../api/client";
import { asFailure, type ApiFailure } from "../api/failure";
import { addLines, CHUNK, EMPTY_LOG, nextStart, type TaskLog } from "../logic/taskLog";

const PERIOD_MS = 1000;

export function useTaskLog(node: string, upid: string, isOver: boolean): { log: TaskLog; failure: ApiFailure | undefined } {
  const [log, setLog] = useState<TaskLog>(EMPTY_LOG);
  const [failure, setFailure] = useState<ApiFailure>();
  useEffect(() => {
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let present = EMPTY_LOG;
    const read = async (): Promise<void> => {
      let isMore = false;
      let isRead = false;
      try {
        const parameters = { node, upid, start: nextStart(present), limit: CHUNK };
        const found = await call("GET", "/nodes/{node}/tasks/{upid}/log", parameters, { signal: abort.signal });
        present = addLines(present, found.data, found.total ?? 0);
        // Read once more from its beginning when the task is over: shown then is what was there before
        if (present.isComplete || !isOver) setLog(present);
        setFailure(undefined);
        isMore = !present.isComplete;
        isRead = true;
      } catch (error) {
        if (abort.signal.aborted) return;
        setFailure(asFailure(error));
      }
      if (isMore) void read();
      // Of a task that is over a log that could not be read is tried again all the same
      else if (!(isOver && isRead) && !abort.signal.aborted) timer = setTimeout(() => void read(), PERIOD_MS);
    };
    void read();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [node, upid, isOver]);
  return { log, failure };
}
