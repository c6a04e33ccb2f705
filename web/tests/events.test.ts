/* One stream per browser: who has it, who hears of it, who takes it over. */

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { follow, RETRY_MS, type News, type Surroundings } from "../src/api/sharedStream";

class FakeStream extends EventTarget {
  static all: FakeStream[] = [];
  readyState = 1;
  onerror: (() => void) | undefined;
  constructor(readonly address: string) {
    super();
    FakeStream.all.push(this);
  }
  say(kind: string, data: unknown): void {
    this.dispatchEvent(Object.assign(new Event(kind), { data: JSON.stringify(data) }));
  }
  refuse(): void {
    this.readyState = 2;
    this.onerror?.();
  }
  breakOff(): void {
    this.readyState = 0;
    this.onerror?.();
  }
  close(): void {
    this.readyState = 2;
  }
}

const open = (): FakeStream[] => FakeStream.all.filter((stream) => stream.readyState !== 2);

const HELLO = { topics: ["tasks", "log"] };

/** Locks of one browser: one holder per name, the others in order. */
class FakeLocks {
  private tails = new Map<string, Promise<unknown>>();
  request(name: string, options: LockOptions, run: () => Promise<unknown>): Promise<unknown> {
    const before = this.tails.get(name) ?? Promise.resolve();
    const mine = before.then(() => {
      if (options.signal?.aborted) throw new Error("aborted");
      return run();
    });
    this.tails.set(name, mine.catch(() => undefined));
    return mine;
  }
}

class FakeChannel {
  static all = new Set<FakeChannel>();
  onmessage: ((event: { data: unknown }) => void) | undefined;
  constructor(readonly name: string) {
    FakeChannel.all.add(this);
  }
  postMessage(data: unknown): void {
    for (const other of FakeChannel.all) if (other !== this && other.name === this.name) other.onmessage?.({ data });
  }
  close(): void {
    FakeChannel.all.delete(this);
  }
}

function browser(): Surroundings {
  return {
    locks: new FakeLocks() as unknown as LockManager,
    channel: (name) => new FakeChannel(name) as unknown as BroadcastChannel,
    stream: (address) => new FakeStream(address) as unknown as EventSource,
  };
}

const settle = (): Promise<unknown> => vi.advanceTimersByTimeAsync(1);

/** A tab that keeps what it is told. */
function tab(around: Surroundings, user = "root@pam"): { news: News[]; close: () => void } {
  const news: News[] = [];
  return { news, close: follow(user, (told) => news.push(told), around) };
}

const works: News = { kind: "state", told: ["tasks", "log"] };
const silent: News = { kind: "state", told: [] };
const everything: News = { kind: "change", topics: "everything" };

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("EventSource", { CLOSED: 2 });
  FakeStream.all = [];
  FakeChannel.all.clear();
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("the event stream", () => {
  it("is open once for all tabs of a user, and all hear it", async () => {
    const around = browser();
    const tabs = [tab(around), tab(around), tab(around)];
    await settle();
    expect(open()).toHaveLength(1);
    FakeStream.all[0]?.say("hello", HELLO);
    FakeStream.all[0]?.say("change", { topics: ["tasks"] });
    for (const { news } of tabs) expect(news).toEqual([works, everything, { kind: "change", topics: ["tasks"] }]);
  });

  it("tells a tab that comes later whether it works", async () => {
    const around = browser();
    tab(around);
    await settle();
    FakeStream.all[0]?.say("hello", HELLO);
    const late = tab(around);
    expect(late.news).toEqual([works]);
    expect(open()).toHaveLength(1);
  });

  it("goes on in another tab when its own is closed, and what was missed counts as changed", async () => {
    const around = browser();
    const [first, second] = [tab(around), tab(around)];
    await settle();
    FakeStream.all[0]?.say("hello", HELLO);
    second.news.length = 0;
    first.close();
    expect(second.news).toEqual([silent]);
    await settle();
    expect(open()).toHaveLength(1);
    open()[0]?.say("hello", HELLO);
    expect(second.news).toEqual([silent, works, everything]);
    second.close();
    await settle();
    expect(open()).toEqual([]);
    expect(FakeChannel.all.size).toBe(0);
  });

  it("is left to the others by a tab that closes while it waits", async () => {
    const around = browser();
    const [first, second, third] = [tab(around), tab(around), tab(around)];
    await settle();
    second.close();
    first.close();
    await settle();
    expect(open()).toHaveLength(1);
    open()[0]?.say("hello", HELLO);
    expect([second.news, third.news.slice(1)]).toEqual([[], [works, everything]]);
  });

  it("is not shared between users", async () => {
    const around = browser();
    const [root, alice] = [tab(around), tab(around, "alice@pve")];
    await settle();
    expect(open()).toHaveLength(2);
    FakeStream.all[0]?.say("hello", HELLO);
    expect([root.news.length > 0, alice.news]).toEqual([true, []]);
  });

  it("says when it broke, and asks again later when it was refused", async () => {
    const around = browser();
    const { news } = tab(around);
    await settle();
    FakeStream.all[0]?.say("hello", HELLO);
    FakeStream.all[0]?.breakOff();
    expect(news.at(-1)).toEqual(silent);
    expect(FakeStream.all).toHaveLength(1); // the browser comes back to it
    FakeStream.all[0]?.refuse();
    await vi.advanceTimersByTimeAsync(RETRY_MS);
    expect(FakeStream.all).toHaveLength(2);
  });

  it("is each tab's own where the browser knows no locks", () => {
    const around = { ...browser(), locks: undefined };
    const tabs = [tab(around), tab(around)];
    expect(open()).toHaveLength(2);
    tabs[0]?.close();
    expect(open()).toHaveLength(1);
  });
});

describe("a page", () => {
  const page = Object.assign(new EventTarget(), { hidden: false });
  let events: typeof import("../src/api/events");

  const look = (hidden: boolean): void => {
    page.hidden = hidden;
    page.dispatchEvent(new Event("visibilitychange"));
  };

  beforeEach(async () => {
    vi.resetModules();
    page.hidden = false;
    vi.stubGlobal("document", page);
    vi.stubGlobal("navigator", {});
    vi.stubGlobal("EventSource", Object.assign(FakeStream, { CLOSED: 2 }));
    events = await import("../src/api/events");
  });

  it("gives up the stream while nobody looks at it, and reads everything when somebody does", async () => {
    const heard: string[][] = [];
    const leave = events.listen((topics) => heard.push([...topics]));
    open()[0]?.say("hello", HELLO);
    expect([events.areTold(["tasks", "log"]), events.areTold(["tasks", "config"])]).toEqual([true, false]);
    look(true);
    await vi.advanceTimersByTimeAsync(4000);
    look(false); // only a glance elsewhere
    expect(FakeStream.all).toHaveLength(1);
    look(true);
    await vi.advanceTimersByTimeAsync(6000);
    expect([open().length, events.areTold(["tasks"])]).toEqual([0, false]);
    heard.length = 0;
    look(false);
    expect(open()).toHaveLength(1);
    expect(heard[0]).toContain("config");
    leave();
    expect(open()).toHaveLength(0);
  });

  it("that is opened in the background begins when it is looked at", () => {
    page.hidden = true;
    const leave = events.listen(() => undefined);
    expect(open()).toHaveLength(0);
    look(false);
    expect(open()).toHaveLength(1);
    leave();
  });
});
