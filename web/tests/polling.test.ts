/* How often the page asks: seldom while it is told what changes, often when it is not. */

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

class FakeStream extends EventTarget {
  static last: FakeStream | undefined;
  static CLOSED = 2;
  readyState = 1;
  onerror: (() => void) | undefined;
  constructor(readonly address: string) {
    super();
    FakeStream.last = this;
  }
  hello(topics = ["status", "resources", "tasks", "log", "access", "config"]): void {
    this.dispatchEvent(Object.assign(new Event("hello"), { data: JSON.stringify({ topics }) }));
  }
  change(...topics: string[]): void {
    this.dispatchEvent(Object.assign(new Event("change"), { data: JSON.stringify({ topics }) }));
  }
  breakOff(): void {
    this.readyState = 0;
    this.onerror?.();
  }
  close(): void {
    this.readyState = 2;
  }
}

const page = Object.assign(new EventTarget(), { hidden: false, cookie: "" });
const stream = (): FakeStream => {
  if (!FakeStream.last) throw new Error("nobody listens");
  return FakeStream.last;
};
const pass = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);

beforeEach(() => {
  vi.resetModules();
  vi.useFakeTimers();
  page.hidden = false;
  FakeStream.last = undefined;
  vi.stubGlobal("document", page);
  vi.stubGlobal("navigator", {});
  vi.stubGlobal("EventSource", FakeStream);
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("readings with topics", () => {
  let polling: typeof import("../src/api/polling");
  const read = vi.fn<(signal: AbortSignal) => Promise<boolean>>();
  let reading: import("../src/api/polling").Reading;

  beforeEach(async () => {
    polling = await import("../src/api/polling");
    read.mockReset();
    read.mockResolvedValue(true);
    reading = polling.keepReading(read, { periodMs: 5000, topics: ["access"] });
    await pass(0);
    expect(read).toHaveBeenCalledTimes(1);
    read.mockClear();
  });

  afterEach(() => reading.stop());

  it("come often while nothing is told", async () => {
    await pass(15_000);
    expect(read).toHaveBeenCalledTimes(3);
  });

  it("come every 30 s while changes are told", async () => {
    stream().hello(); // from here on everything is told, so all is read once
    await pass(0);
    expect(read).toHaveBeenCalledTimes(1);
    read.mockClear();
    await pass(29_000);
    expect(read).not.toHaveBeenCalled();
    await pass(31_000);
    expect(read).toHaveBeenCalledTimes(2);
  });

  it("come often while only changes of others are told", async () => {
    stream().hello(["tasks", "log"]);
    await pass(0);
    read.mockClear();
    await pass(15_000);
    expect(read).toHaveBeenCalledTimes(3);
  });

  it("come often again as soon as the stream is lost", async () => {
    stream().hello();
    await pass(12_000);
    read.mockClear();
    stream().breakOff();
    await pass(5000);
    expect(read).toHaveBeenCalledTimes(1);
    await pass(10_000);
    expect(read).toHaveBeenCalledTimes(3);
  });

  it("come often until one succeeds again", async () => {
    stream().hello();
    await pass(0);
    read.mockClear();
    read.mockResolvedValue(false);
    stream().change("access");
    await pass(10_000);
    expect(read).toHaveBeenCalledTimes(1 + 2);
    read.mockResolvedValue(true);
    await pass(5000);
    read.mockClear();
    await pass(29_000);
    expect(read).not.toHaveBeenCalled();
  });

  it("come at once when a topic of theirs has changed, and for no other", async () => {
    stream().hello();
    await pass(0);
    read.mockClear();
    stream().change("log", "tasks");
    await pass(0);
    expect(read).not.toHaveBeenCalled();
    stream().change("log", "access");
    await pass(0);
    expect(read).toHaveBeenCalledTimes(1);
  });

  it("come once more when something changed while one was under way, and never twice at once", async () => {
    let answer: (isGood: boolean) => void = () => undefined;
    read.mockImplementation(() => new Promise((resolve) => (answer = resolve)));
    stream().hello();
    await pass(0);
    stream().change("access");
    stream().change("access");
    await pass(60_000);
    expect(read).toHaveBeenCalledTimes(1);
    answer(true);
    await pass(0);
    expect(read).toHaveBeenCalledTimes(2);
    answer(true);
    await pass(0);
    expect(read).toHaveBeenCalledTimes(2);
  });

  it("are given up for a new one when somebody asks for it", async () => {
    read.mockImplementation(() => new Promise(() => undefined));
    reading.reload();
    reading.reload();
    await pass(0);
    expect(read.mock.calls.map(([signal]) => signal.aborted)).toEqual([true, false]);
  });

  it("end", async () => {
    stream().hello();
    await pass(0);
    read.mockClear();
    const last = stream();
    reading.stop();
    last.change("access");
    await pass(60_000);
    expect(read).not.toHaveBeenCalled();
    expect(last.readyState).toBe(2);
  });
});

describe("other readings", () => {
  it("keep their period when nobody tells of their changes, or not of all", async () => {
    const polling = await import("../src/api/polling");
    const done = (): Promise<boolean> => Promise.resolve(true);
    const [untold, partly, once] = [vi.fn(done), vi.fn(done), vi.fn(done)];
    const readings = [
      polling.keepReading(untold, { periodMs: 5000 }),
      polling.keepReading(partly, { periodMs: 5000, topics: ["status"], toldMs: 5000 }),
      polling.keepReading(once, { periodMs: 0, topics: ["status"] }),
    ];
    stream().hello();
    await pass(0);
    for (const read of [untold, partly, once]) read.mockClear();
    await pass(10_000);
    expect([untold, partly, once].map((read) => read.mock.calls.length)).toEqual([2, 2, 0]);
    for (const reading of readings) reading.stop();
  });
});

describe("the state that every page shows", () => {
  const asked: string[] = [];
  let isDown = false;
  let state: typeof import("../src/api/live");
  let leave: () => void;

  beforeEach(async () => {
    asked.length = 0;
    isDown = false;
    vi.stubGlobal("location", { protocol: "https:" });
    vi.stubGlobal("fetch", (url: string) => {
      asked.push(url.replace("/api2/json/cluster/", ""));
      return Promise.resolve(isDown ? new Response("", { status: 595 }) : Response.json({ data: [] }));
    });
    state = await import("../src/api/live");
    leave = state.subscribe(() => undefined);
    await pass(10);
    expect(state.getLive().ready).toBe(true);
    asked.length = 0;
  });

  afterEach(() => leave());

  it("is read every 3 s while nothing is told, and every 30 s while changes are", async () => {
    await pass(6000);
    expect(asked).toHaveLength(2 * 3);
    stream().hello();
    await pass(10);
    asked.length = 0;
    await pass(60_000);
    expect(asked).toHaveLength(2 * 3);
    stream().breakOff();
    asked.length = 0;
    await pass(3000);
    expect(asked.sort()).toEqual(["resources", "status", "tasks"]);
  });

  it("is read every 30 s also by somebody who may not know of the members' state", async () => {
    stream().hello(["access", "log", "resources", "tasks"]);
    await pass(10);
    asked.length = 0;
    await pass(60_000);
    expect(asked).toHaveLength(2 * 3);
  });

  it("is read at once when it has changed, and only what has", async () => {
    stream().hello();
    await pass(10);
    asked.length = 0;
    stream().change("tasks", "access");
    await pass(10);
    expect(asked).toEqual(["tasks"]);
  });

  it("is read often while it cannot be had", async () => {
    stream().hello();
    await pass(10);
    isDown = true;
    stream().change("status");
    await pass(10);
    expect(state.getLive().failure?.status).toBe(595);
    asked.length = 0;
    await pass(6000);
    expect(asked).toHaveLength(2 * 3);
  });

  it("is not read while nobody looks", async () => {
    page.hidden = true;
    await pass(30_000);
    expect(asked).toEqual([]);
  });
});
