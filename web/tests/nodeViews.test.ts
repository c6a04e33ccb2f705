import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { ApiFailure } from "../src/api/failure";
import { PATIENCE_MS, watch, type NodeViews } from "../src/api/nodeViews";

const page = { hidden: false };

beforeEach(() => {
  vi.useFakeTimers();
  page.hidden = false;
  vi.stubGlobal("document", page);
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** Nodes that answer with how often they were asked; `hung` never does. */
function nodes() {
  const asked: Record<string, number> = {};
  const read = (node: string, signal: AbortSignal): Promise<number> => {
    asked[node] = (asked[node] ?? 0) + 1;
    if (node === "gone") return Promise.reject(new ApiFailure(595, "no route to host"));
    if (node !== "hung") return Promise.resolve(asked[node]);
    return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error)));
  };
  return { asked, read };
}

describe("the views of several nodes", () => {
  it("are told as they come: a node that hangs holds up nobody else", async () => {
    const { read } = nodes();
    let views: NodeViews<number> = {};
    const stop = watch(["n1", "hung", "gone"], read, (now) => (views = now));
    await vi.advanceTimersByTimeAsync(1);
    expect(views).toMatchObject({ n1: { data: 1 }, gone: { failure: { message: "no route to host" } } });
    expect(views["hung"]).toBeUndefined();
    await vi.advanceTimersByTimeAsync(5000);
    expect(views["n1"]).toMatchObject({ data: 2 });
    await vi.advanceTimersByTimeAsync(PATIENCE_MS - 5000);
    expect(views["hung"]?.failure?.message).toBe("hung gave no answer within 10 s.");
    stop();
  });

  it("are not asked for while nobody looks, nor after the end", async () => {
    const { asked, read } = nodes();
    const stop = watch(["n1"], read, () => undefined);
    page.hidden = true;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(asked).toEqual({ n1: 1 });
    page.hidden = false;
    await vi.advanceTimersByTimeAsync(5000);
    expect(asked).toEqual({ n1: 2 });
    stop();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(asked).toEqual({ n1: 2 });
  });

  it("keep what came last when an answer fails", async () => {
    let isThere = true;
    let views: NodeViews<string> = {};
    const read = () => (isThere ? Promise.resolve("up") : Promise.reject(new ApiFailure(0, "silence")));
    const stop = watch(["n1"], read, (now) => (views = now));
    await vi.advanceTimersByTimeAsync(1);
    isThere = false;
    await vi.advanceTimersByTimeAsync(5000);
    expect(views["n1"]).toMatchObject({ data: "up", failure: { message: "silence" } });
    isThere = true;
    await vi.advanceTimersByTimeAsync(5000);
    expect(views["n1"]?.failure).toBeUndefined();
    stop();
  });
});
