/* Task identifiers and their states (pvecm 6.9). */

export interface Upid {
  node: string;
  pid: number;
  starttime: number;
  type: string;
  id: string;
  user: string;
}

const UPID = /^UPID:([^:\s]+):([0-9A-F]{8}):([0-9A-F]{8,9}):([0-9A-F]{8}):([^:\s]+):([^:\s]*):([^:\s]+):$/i;

export function parseUpid(text: string): Upid | undefined {
  const found = UPID.exec(text);
  if (!found) return undefined;
  const [, node = "", pid = "", , start = "", type = "", id = "", user = ""] = found;
  return { node, pid: parseInt(pid, 16), starttime: parseInt(start, 16), type, id, user };
}

export type Result = "running" | "ok" | "warning" | "error" | "unknown";

/** The kind of a task's end; undefined or RUNNING: it has none yet. */
export function resultOf(status: string | undefined): Result {
  if (status === undefined || status === "" || status === "RUNNING") return "running";
  if (status === "OK") return "ok";
  if (status.startsWith("WARNINGS:")) return "warning";
  return status === "unexpected status" || status.startsWith("unable to get last line") ? "unknown" : "error";
}
