import { describe, expect, it } from "vitest";

import type { JournalEntry } from "../src/api/model";
import { append, EMPTY, lineOf, MOST, nextRequest } from "../src/logic/journal";

const entry = (number: number, more: Partial<JournalEntry> = {}): JournalEntry => ({
  cursor: `s=1;i=${number}`, time: number, usec: 0, priority: 6, message: `message ${number}`, ...more,
});
const entries = (from: number, count: number): JournalEntry[] => Array.from({ length: count }, (_, index) => entry(from + index));

describe("a journal that grows", () => {
  it("is asked for its end once, and then for what came after the last entry", () => {
    expect(nextRequest(EMPTY)).toEqual({ lastentries: 500 });
    expect(nextRequest(append(EMPTY, entries(1, 3)))).toEqual({ startcursor: "s=1;i=3" });
  });

  it("stays the same while nothing comes", () => {
    const journal = append(EMPTY, entries(1, 3));
    expect(append(journal, [])).toBe(journal);
  });

  it("keeps the newest entries, and knows that older ones are gone", () => {
    const whole = append(EMPTY, entries(1, MOST));
    expect(whole.isCut).toBe(false);
    const cut = append(whole, entries(MOST + 1, 2));
    expect([cut.isCut, cut.entries.length, cut.entries[0]?.cursor, cut.entries.at(-1)?.cursor]).toEqual([
      true, MOST, "s=1;i=3", `s=1;i=${MOST + 2}`,
    ]);
  });

  it("names the program and its process where they are known", () => {
    const text = (more: Partial<JournalEntry>) => lineOf(entry(1, more)).replace(/^.*:\d\d /, "");
    expect(text({ identifier: "sshd", pid: "12", unit: "ssh.service" })).toBe("sshd[12]: message 1");
    expect(text({ unit: "ssh.service" })).toBe("ssh.service: message 1");
  });
});
