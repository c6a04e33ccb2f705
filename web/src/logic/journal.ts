/* The end of a node's journal as it grows: what to ask for next, what is kept, how an entry reads. */

import type { JournalEntry } from "../api/model";
import { time } from "./format";

/** Asked for at first. */
const FIRST = 500;
/** What a browser shows in reasonable time. */
export const MOST = 5000;

export interface Journal {
  entries: readonly JournalEntry[];
  /** Older ones were there and are not kept any more. */
  isCut: boolean;
}

export const EMPTY: Journal = { entries: [], isCut: false };

/** Only what came after the last one: the node need not read its journal from the beginning. */
export function nextRequest(journal: Journal): { lastentries: number } | { startcursor: string } {
  const last = journal.entries.at(-1);
  return last ? { startcursor: last.cursor } : { lastentries: FIRST };
}

/** The same object when nothing came. */
export function append(journal: Journal, fresh: readonly JournalEntry[]): Journal {
  if (fresh.length === 0) return journal;
  const all = [...journal.entries, ...fresh];
  return all.length <= MOST ? { ...journal, entries: all } : { entries: all.slice(-MOST), isCut: true };
}

/** As the journal's own short form, with the browser's time. */
export function lineOf(entry: JournalEntry): string {
  const who = entry.identifier ?? entry.unit ?? "";
  const process = entry.pid ? `[${entry.pid}]` : "";
  return `${time(entry.time)} ${who}${process}: ${entry.message}`;
}
