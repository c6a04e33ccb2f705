/* What the server says has changed, by topic, for all listeners of this page. Where nothing is told, everybody polls. */

import { current } from "./session";
import { follow, type News } from "./sharedStream";

const TOPICS = ["status", "resources", "tasks", "log", "access", "config"] as const;
export type Topic = (typeof TOPICS)[number];

const ALL: ReadonlySet<Topic> = new Set(TOPICS);
/** A page that nobody has looked at for so long gives up its stream. */
const HIDDEN_MS = 5000;

type Listener = (topics: ReadonlySet<Topic>) => void;

const listeners = new Set<Listener>();
let leave: (() => void) | undefined;
let timer: ReturnType<typeof setTimeout> | undefined;
let told: ReadonlySet<Topic> = new Set();

/** Whether the changes of all these topics are told: then polling is a safety net only. What one may not know of is
 * not told. */
export function areTold(topics: readonly Topic[]): boolean {
  return topics.every((topic) => told.has(topic));
}

/** Hear of changes until the returned function is called. After a time in which nothing was told, e.g. while the
 * page was hidden, everything counts as changed. */
export function listen(listener: Listener): () => void {
  listeners.add(listener);
  if (listeners.size === 1) {
    document.addEventListener("visibilitychange", onVisibility);
    start();
  }
  return () => {
    listeners.delete(listener);
    if (listeners.size > 0) return;
    document.removeEventListener("visibilitychange", onVisibility);
    clearTimeout(timer);
    stop();
  };
}

function onVisibility(): void {
  clearTimeout(timer);
  if (document.hidden) {
    timer = setTimeout(stop, HIDDEN_MS);
    return;
  }
  start();
  tell(ALL); // what came while it was hidden was not read
}

function start(): void {
  if (!leave && !document.hidden) leave = follow(current()?.username ?? "", hear);
}

function stop(): void {
  leave?.();
  leave = undefined;
  told = new Set();
}

function hear(news: News): void {
  if (news.kind === "state") told = new Set(news.told);
  else tell(news.topics === "everything" ? ALL : new Set(news.topics));
}

function tell(topics: ReadonlySet<Topic>): void {
  for (const listener of [...listeners]) listener(topics);
}
