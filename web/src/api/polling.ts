/* Reading again and again: at once when something is told to have changed, and every so often in case it is not. */

import { areTold, listen, type Topic } from "./events";

/** While changes are told: only as a safety net. */
export const SLOW_MS = 30_000;

export interface Rhythm {
  /** Between two readings while nothing is told; 0: once only, whatever changes. */
  periodMs: number;
  /** What the answer depends on; none: nobody tells when it changes. */
  topics?: readonly Topic[];
  /** Between two readings while the changes of all topics are told. */
  toldMs?: number;
}

export interface Reading {
  /** Read now, and give up a reading that is under way: what it brings is older than what one knows of. */
  reload: () => void;
  stop: () => void;
}

/** Call `due` in the rhythm until the returned function is called. When nothing is told any more the short period
 * begins at once; it also is that of what `hasFailed`, since nobody tells when it would succeed. */
export function everySoOften(due: () => void, rhythm: Rhythm, hasFailed: () => boolean): () => void {
  const { periodMs, topics = [], toldMs = SLOW_MS } = rhythm;
  let waited = 0;
  const timer = setInterval(() => {
    waited += periodMs;
    if (topics.length > 0 && areTold(topics) && !hasFailed() && waited < toldMs) return;
    waited = 0;
    due();
  }, periodMs);
  return () => clearInterval(timer);
}

/** Call `read` now, in the rhythm, and when one of the topics has changed; never twice at once. It says whether it
 * succeeded, and never throws. */
export function keepReading(read: (signal: AbortSignal) => Promise<boolean>, rhythm: Rhythm): Reading {
  const { periodMs, topics = [] } = rhythm;
  let abort = new AbortController();
  let isReading = false;
  let isOld = false;
  let hasFailed = false;
  const run = async (): Promise<void> => {
    const mine = new AbortController();
    abort = mine;
    isReading = true;
    do {
      isOld = false;
      const isRead = await read(mine.signal);
      if (abort === mine) hasFailed = !isRead;
    } while (wantsMore(mine));
    if (abort === mine) isReading = false;
  };
  const wantsMore = (mine: AbortController): boolean => isOld && !mine.signal.aborted;
  const hear = (told: ReadonlySet<Topic>): void => {
    if (!topics.some((topic) => told.has(topic))) return;
    if (isReading) isOld = true;
    else void run();
  };
  const due = (): void => {
    if (!isReading) void run();
  };
  const ends = [
    periodMs > 0 && everySoOften(due, rhythm, () => hasFailed),
    periodMs > 0 && topics.length > 0 && listen(hear),
    () => abort.abort(),
  ];
  void run();
  return {
    reload: () => {
      abort.abort();
      void run();
    },
    stop: () => {
      for (const end of ends) if (end) end();
    },
  };
}
