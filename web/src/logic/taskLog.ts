/* A task's log as it grows: its newest lines are kept, and how many came before them is known. */

export interface LogLine {
  /** From 1. */
  n: number;
  t: string;
}

export interface TaskLog {
  lines: readonly string[];
  /** Lines before the first one that is kept. */
  skipped: number;
  isComplete: boolean;
}

export const EMPTY_LOG: TaskLog = { lines: [], skipped: 0, isComplete: false };

/** Of one answer. */
export const CHUNK = 2000;
/** A browser shows no more in reasonable time. */
export const MOST_LINES = 20_000;

/** Where to go on reading: parameter `start`. */
export function nextStart(log: TaskLog): number {
  return log.skipped + log.lines.length;
}

/** `found` was read from `nextStart`; `total` is how many lines there are now. */
export function addLines(log: TaskLog, found: readonly LogLine[], total: number): TaskLog {
  // An empty log answers with one line that says so, which must not stay as the first one
  const isEmpty = found.length === 1 && total === 1 && found[0]?.t === "no content";
  const start = nextStart(log);
  const fresh = isEmpty ? [] : found.filter((line) => line.n > start).map((line) => line.t);
  const isComplete = start + fresh.length >= total || fresh.length === 0;
  if (total - start > MOST_LINES + CHUNK) {
    // Its end is what matters: go there at once
    return { lines: [], skipped: total - MOST_LINES, isComplete: false };
  }
  if (fresh.length === 0) return log.isComplete === isComplete ? log : { ...log, isComplete };
  const all = [...log.lines, ...fresh];
  const surplus = Math.max(0, all.length - MOST_LINES);
  return { lines: all.slice(surplus), skipped: log.skipped + surplus, isComplete };
}
