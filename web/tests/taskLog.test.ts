import { describe, expect, it } from "vitest";

import { addLines, CHUNK, EMPTY_LOG, MOST_LINES, nextStart, type TaskLog } from "../src/logic/taskLog";

/** Reads a log of so many lines as the page does, until there is nothing more. */
function readAll(total: number, log: TaskLog = EMPTY_LOG): { log: TaskLog; requests: number } {
  let requests = 0;
  do {
    const start = nextStart(log);
    const count = Math.min(CHUNK, Math.max(0, total - start));
    log = addLines(log, Array.from({ length: count }, (_, index) => ({ n: start + index + 1, t: `line ${start + index + 1}` })), total);
    requests += 1;
  } while (!log.isComplete);
  return { log, requests };
}

describe("a task's log", () => {
  it("is read to its end in parts", () => {
    const { log, requests } = readAll(CHUNK * 2 + 3);
    expect([log.lines.length, log.lines.at(-1), log.skipped, requests]).toEqual([4003, "line 4003", 0, 3]);
  });

  it("that is empty says nothing, and grows later", () => {
    const empty = addLines(EMPTY_LOG, [{ n: 1, t: "no content" }], 1);
    expect([empty.lines, empty.isComplete]).toEqual([[], true]);
    expect(readAll(2, empty).log.lines).toEqual(["line 1", "line 2"]);
  });

  it("may contain what an empty log answers", () => {
    const log = addLines(EMPTY_LOG, [{ n: 1, t: "no content" }, { n: 2, t: "TASK OK" }], 2);
    expect(log.lines).toEqual(["no content", "TASK OK"]);
  });

  it("that is too long is shown by its end, and says how much is missing", () => {
    const { log, requests } = readAll(1_000_000);
    expect([log.lines.length, log.lines.at(-1), log.skipped]).toEqual([MOST_LINES, "line 1000000", 980_000]);
    expect(requests).toBeLessThan(15);
  });

  it("that grows beyond the limit loses its oldest lines", () => {
    const { log } = readAll(MOST_LINES);
    const grown = readAll(MOST_LINES + 10, log).log;
    expect([grown.lines.length, grown.lines[0], grown.skipped]).toEqual([MOST_LINES, "line 11", 10]);
  });

  it("stays the same object while nothing comes", () => {
    const { log } = readAll(5);
    expect(addLines(log, [], 5)).toBe(log);
  });
});
