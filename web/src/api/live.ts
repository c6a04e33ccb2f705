/* The state that every page shows: members, guests, tasks. Read again when the event stream says that
   something changed, and every few seconds where there is no stream. */

import { useSyncExternalStore } from "react";

import { get } from "./client";
import { listen } from "./events";
import { asFailure, type ApiFailure } from "./failure";
import type { ClusterEntry, NodeEntry, Resource, Task } from "./model";
import { everySoOften } from "./polling";

export interface Live {
  cluster?: ClusterEntry;
  members: NodeEntry[];
  resources: Resource[];
  tasks: Task[];
  /** The first answer has come. */
  ready: boolean;
  /** Why the newest read failed; what is shown is older then. */
  failure?: ApiFailure;
}

type Part = "status" | "resources" | "tasks";

const POLL_MS = 3000;
const ALL: readonly Part[] = ["status", "resources", "tasks"];
/** The changes of these are told to everybody. Who is not told of the status may not read it either. */
const TOLD_TO_ALL: readonly Part[] = ["resources", "tasks"];

let live: Live = { members: [], resources: [], tasks: [], ready: false };
const listeners = new Set<() => void>();
let stop: (() => void) | undefined;
const wanted = new Set<Part>();
let reading = false;
let abort = new AbortController();

export function useLive(): Live {
  return useSyncExternalStore(subscribe, getLive);
}

export const getLive = (): Live => live;

/** Read at once, e.g. after a change made here. */
export function refresh(...parts: Part[]): void {
  for (const part of parts.length > 0 ? parts : ALL) wanted.add(part);
  if (!reading) void readWanted();
}

/** The name of the node that serves this page. */
export function localNode(state: Live): string | undefined {
  return state.members.find((member) => member.local)?.name;
}

/** Follow the state until the returned function is called. */
export function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  if (listeners.size === 1) stop = start();
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) stop?.();
  };
}

function start(): () => void {
  abort = new AbortController();
  const read = (): void => {
    if (!document.hidden) refresh();
  };
  const rest = everySoOften(read, { periodMs: POLL_MS, topics: TOLD_TO_ALL }, () => live.failure !== undefined);
  const stream = listen((topics) => {
    const parts = ALL.filter((part) => topics.has(part));
    if (parts.length > 0 && !document.hidden) refresh(...parts);
  });
  read();
  return () => {
    rest();
    stream();
    abort.abort();
    live = { members: [], resources: [], tasks: [], ready: false };
  };
}

async function readWanted(): Promise<void> {
  reading = true;
  const { signal } = abort;
  const isOver = (): boolean => signal.aborted;
  while (wanted.size > 0 && !isOver()) {
    const parts = [...wanted];
    wanted.clear();
    const results = await Promise.all(parts.map((part) => readPart(part, signal)));
    if (isOver()) break;
    const failure = results.find((result) => result.failure)?.failure;
    publish({ ...Object.assign({}, ...results.map((result) => result.update)), ready: true, failure } as Partial<Live>);
  }
  reading = false;
  // Somebody has begun anew meanwhile
  if (isOver() && wanted.size > 0 && !abort.signal.aborted) void readWanted();
}

async function readPart(
  part: Part,
  signal: AbortSignal,
): Promise<{ update: Partial<Live>; failure?: ApiFailure }> {
  try {
    if (part === "status") {
      const entries = await get("/cluster/status", {}, { signal });
      const members = entries.filter((entry): entry is NodeEntry => entry.type === "node");
      members.sort((one, other) => one.name.localeCompare(other.name, undefined, { numeric: true }));
      return { update: { members, cluster: entries.find((entry): entry is ClusterEntry => entry.type === "cluster") } };
    }
    if (part === "resources") {
      return { update: { resources: await get("/cluster/resources", {}, { signal }) } };
    }
    return { update: { tasks: await get("/cluster/tasks", {}, { signal }) } };
  } catch (error) {
    const failure = asFailure(error);
    // A user without Sys.Audit sees the nodes of the resource list
    return failure.status === 403 ? { update: {} } : { update: {}, failure };
  }
}

function publish(update: Partial<Live>): void {
  live = { ...live, ...update };
  for (const listener of listeners) listener();
}
