/* Who may send what was held back while nobody was logged in. */

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

interface Sent {
  method: string;
  url: string;
  csrf: string | undefined;
}

/** The server: tickets for anybody, and the other requests as `answer` says. */
function serve(answer: (sent: Sent) => Promise<Response> | Response): Sent[] {
  const log: Sent[] = [];
  vi.stubGlobal("fetch", (url: string, init: RequestInit) => {
    const headers = init.headers as Record<string, string>;
    const sent = { method: init.method ?? "GET", url, csrf: headers["CSRFPreventionToken"] };
    if (url.endsWith("/access/ticket")) {
      const username = new URLSearchParams(init.body as string).get("username") ?? "";
      return Promise.resolve(Response.json({ data: { username, ticket: `PVE:${username}`, CSRFPreventionToken: `for ${username}` } }));
    }
    log.push(sent);
    return Promise.resolve(answer(sent));
  });
  return log;
}

const refusal = (): Response => new Response("", { status: 401, statusText: "permission denied - invalid ticket" });
const taken = (): Response => Response.json({ data: null });
const deleteBob = { userid: "bob@pve" };

let session: typeof import("../src/api/session");
let client: typeof import("../src/api/client");

beforeEach(async () => {
  vi.resetModules();
  vi.useFakeTimers();
  vi.stubGlobal("document", { cookie: "" });
  vi.stubGlobal("location", { protocol: "https:" });
  session = await import("../src/api/session");
  client = await import("../src/api/client");
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** How a promise ended; undefined while it has not. */
async function outcome(promise: Promise<unknown>): Promise<unknown> {
  let ended: unknown;
  promise.then(
    () => (ended = "done"),
    (error: unknown) => (ended = error),
  );
  await vi.advanceTimersByTimeAsync(10);
  return ended;
}

describe("a change that was refused because the session has ended", () => {
  it("waits, and is sent with the rights of the same user", async () => {
    let ticketIsGood = false;
    const log = serve(() => (ticketIsGood ? taken() : refusal()));
    await session.logIn("alice", "x", "pve");
    const change = client.change("DELETE", "/access/users/{userid}", deleteBob);
    expect(await outcome(change)).toBeUndefined();
    expect(session.getState()).toMatchObject({ kind: "in", expired: true });
    ticketIsGood = true;
    await session.logIn("alice", "x", "pve");
    expect(await outcome(change)).toBe("done");
    expect(log.map((sent) => sent.csrf)).toEqual(["for alice", "for alice"]);
  });

  it("is given up when the user logs out, and nobody else sends it", async () => {
    const log = serve(refusal);
    await session.logIn("alice", "x", "pve");
    const change = client.change("DELETE", "/access/users/{userid}", deleteBob);
    expect(await outcome(change)).toBeUndefined();
    session.logOut();
    expect(await outcome(change)).toMatchObject({ status: 401, message: expect.stringContaining("logged out") as string });
    await session.logIn("root", "x", "pam");
    await vi.advanceTimersByTimeAsync(10);
    expect(log).toHaveLength(1);
  });

  it("is given up when another user logs in over it", async () => {
    const log = serve(refusal);
    await session.logIn("alice", "x", "pve");
    const change = client.change("DELETE", "/access/users/{userid}", deleteBob);
    expect(await outcome(change)).toBeUndefined();
    await session.logIn("root", "x", "pam");
    expect(await outcome(change)).toMatchObject({ status: 401 });
    expect(log).toHaveLength(1);
  });

  it("does not wait for the next user when its refusal comes after the logout", async () => {
    let answerLate: (response: Response) => void = () => undefined;
    const log = serve(() => new Promise((resolve) => (answerLate = resolve)));
    await session.logIn("alice", "x", "pve");
    const change = client.change("DELETE", "/access/users/{userid}", deleteBob);
    await vi.advanceTimersByTimeAsync(10);
    session.logOut();
    await session.logIn("root", "x", "pam");
    answerLate(refusal());
    expect(await outcome(change)).toMatchObject({ status: 401 });
    expect(session.getState()).toMatchObject({ kind: "in", expired: false });
    expect(log).toHaveLength(1);
  });
});

describe("a read that is no longer wanted", () => {
  it("does not wait for a login", async () => {
    const log = serve(refusal);
    await session.logIn("alice", "x", "pve");
    const abort = new AbortController();
    const read = client.get("/cluster/log", {}, { signal: abort.signal });
    expect(await outcome(read)).toBeUndefined();
    abort.abort();
    expect(await outcome(read)).toBeDefined();
    await session.logIn("alice", "x", "pve");
    await vi.advanceTimersByTimeAsync(10);
    expect(log).toHaveLength(1);
  });
});

describe("a renewal that is under way", () => {
  it("does not undo a logout", async () => {
    serve(taken);
    await session.logIn("alice", "x", "pve");
    vi.advanceTimersByTime(15 * 60 * 1000); // its request is sent, not yet answered
    session.logOut();
    await vi.advanceTimersByTimeAsync(10);
    expect(session.getState().kind).toBe("out");
    expect(document.cookie).toContain("max-age=0");
  });
});

describe("a refusal that was on its way while the ticket was renewed", () => {
  it("asks for no login", async () => {
    let round = 0;
    let answerLate: (response: Response) => void = () => undefined;
    const log = serve(() => (++round === 1 ? new Promise((resolve) => (answerLate = resolve)) : taken()));
    await session.logIn("alice", "x", "pve");
    const change = client.change("DELETE", "/access/users/{userid}", deleteBob);
    await vi.advanceTimersByTimeAsync(10);
    await session.logIn("alice", "x", "pve");
    answerLate(refusal());
    expect(await outcome(change)).toBe("done");
    expect(session.getState()).toMatchObject({ expired: false });
    expect(log).toHaveLength(2);
  });
});
