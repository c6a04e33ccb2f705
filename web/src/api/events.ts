/* What the server says has changed, by topic. One stream for all listeners; where there is none, everybody polls. */

export type Topic = "status" | "resources" | "tasks" | "log" | "access" | "config";

const ADDRESS = "/api2/events";
/** After a stream that was refused; the browser itself comes back to one that only broke. */
const RETRY_MS = 30_000;

type Listener = (topics: ReadonlySet<Topic>) => void;

const listeners = new Set<Listener>();
let source: EventSource | undefined;
let timer: ReturnType<typeof setTimeout> | undefined;
let works = false;

/** Whether changes are told: then polling is a safety net only. */
export function isStreaming(): boolean {
  return works;
}

/** Hear of changes until the returned function is called. */
export function listen(listener: Listener): () => void {
  listeners.add(listener);
  if (!source) open();
  return () => {
    listeners.delete(listener);
    if (listeners.size > 0) return;
    clearTimeout(timer);
    source?.close();
    source = undefined;
    works = false;
  };
}

function open(): void {
  const stream = new EventSource(ADDRESS);
  source = stream;
  stream.addEventListener("hello", () => {
    works = true;
  });
  stream.addEventListener("change", (event: MessageEvent<string>) => {
    const topics = topicsOf(event.data);
    for (const listener of [...listeners]) listener(topics);
  });
  stream.onerror = () => {
    works = false;
    if (stream.readyState !== EventSource.CLOSED) return;
    timer = setTimeout(() => {
      if (listeners.size > 0) open();
    }, RETRY_MS);
  };
}

function topicsOf(data: string): ReadonlySet<Topic> {
  try {
    const found = JSON.parse(data) as { topics?: Topic[] };
    return new Set(found.topics ?? []);
  } catch {
    return new Set();
  }
}
