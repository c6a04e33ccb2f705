/* One event stream for all tabs of a user in this browser: browsers open six connections to a node at most, and a
   stream keeps one for good. The tab that holds the lock has the stream and tells the others. */

import type { Topic } from "./events";

export type News =
  /** Whose changes are told at present; none: there is no stream. */
  | { kind: "state"; told: readonly Topic[] }
  /** What has changed; "everything" when some of it may have been missed. */
  | { kind: "change"; topics: readonly Topic[] | "everything" };

type Message = News | { kind: "ask" };

const ADDRESS = "/api2/events";
const NAME = "quorate-events";
/** After a stream that was refused; the browser itself comes back to one that only broke. */
export const RETRY_MS = 30_000;

/** What a browser has for it. Without locks and channels every tab has a stream of its own. */
export interface Surroundings {
  locks?: Pick<LockManager, "request"> | undefined;
  channel?: ((name: string) => BroadcastChannel) | undefined;
  stream: (address: string) => EventSource;
}

function browser(): Surroundings {
  return {
    // The type says always; not where the page came without TLS
    locks: navigator.locks as LockManager | undefined,
    channel: typeof BroadcastChannel === "undefined" ? undefined : (name) => new BroadcastChannel(name),
    stream: (address) => new EventSource(address),
  };
}

/** Tell what changes until the returned function is called. `user`: whose rights decide what is told. */
export function follow(user: string, tell: (news: News) => void, around: Surroundings = browser()): () => void {
  const { locks, channel: open } = around;
  if (!locks || !open) return lead(tell, around).close;
  const name = `${NAME} ${user}`;
  const channel = open(name);
  const over = new AbortController();
  let leading: Leading | undefined;
  const say = (message: Message): void => channel.postMessage(message);
  channel.onmessage = ({ data }: MessageEvent<Message>) => {
    if (data.kind !== "ask") tell(data);
    else if (leading && leading.told().length > 0) say({ kind: "state", told: leading.told() });
  };
  say({ kind: "ask" });
  const tellAll = (news: News): void => {
    say(news);
    tell(news);
  };
  locks
    .request(name, { signal: over.signal }, async () => {
      if (over.signal.aborted) return;
      leading = lead(tellAll, around);
      await new Promise<void>((resolve) => over.signal.addEventListener("abort", () => resolve()));
    })
    .catch(() => undefined); // given up while it waited
  return () => {
    if (leading) {
      leading.close();
      say({ kind: "state", told: [] }); // until the next one has its stream
    }
    over.abort();
    channel.close();
  };
}

interface Leading {
  told: () => readonly Topic[];
  close: () => void;
}

function lead(tell: (news: News) => void, around: Surroundings): Leading {
  let told: readonly Topic[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;
  let stream: EventSource;
  const set = (now: readonly Topic[]): void => {
    if (now.join() !== told.join()) tell({ kind: "state", told: now });
    told = now;
  };
  const open = (): void => {
    stream = around.stream(ADDRESS);
    stream.addEventListener("hello", (event: MessageEvent<string>) => {
      set(topicsOf(event.data));
      // Told is only what changes from now on
      tell({ kind: "change", topics: "everything" });
    });
    stream.addEventListener("change", (event: MessageEvent<string>) => {
      tell({ kind: "change", topics: topicsOf(event.data) });
    });
    stream.onerror = () => {
      set([]);
      if (stream.readyState === EventSource.CLOSED) timer = setTimeout(open, RETRY_MS);
    };
  };
  open();
  return {
    told: () => told,
    close: () => {
      clearTimeout(timer);
      stream.close();
    },
  };
}

function topicsOf(data: string): readonly Topic[] {
  try {
    return (JSON.parse(data) as { topics?: Topic[] }).topics ?? [];
  } catch {
    return [];
  }
}
