/* The ticket is renewed every 15 minutes, with the old one as the password (pvecm 9). */

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

const QUARTER_MS = 15 * 60 * 1000;

interface Login {
  username: string | null;
  password: string | null;
}

/** The ticket of the so-many-th login, with what a cookie must not hold as it is. */
const ticketOf = (round: number): string => `PVE:alice@pve:6655443${round}::a+b/c==;${round}`;
const cookieOf = (round: number): string => `PVEAuthCookie=${encodeURIComponent(ticketOf(round))}`;

let session: typeof import("../src/api/session");
let client: typeof import("../src/api/client");
let logins: Login[];
let sent: (string | undefined)[];
/** What the server answers to the next logins instead of a new ticket. */
let refusals: (Response | Error)[];

beforeEach(async () => {
  vi.resetModules();
  vi.useFakeTimers();
  [logins, sent, refusals] = [[], [], []];
  vi.stubGlobal("document", { cookie: "" });
  vi.stubGlobal("location", { protocol: "https:" });
  vi.stubGlobal("fetch", (url: string, init: RequestInit) => {
    if (!url.endsWith("/access/ticket")) {
      sent.push((init.headers as Record<string, string>)["CSRFPreventionToken"]);
      return Promise.resolve(Response.json({ data: null }));
    }
    const form = new URLSearchParams(init.body as string);
    logins.push({ username: form.get("username"), password: form.get("password") });
    const refusal = refusals.shift();
    if (refusal) return refusal instanceof Error ? Promise.reject(refusal) : Promise.resolve(refusal);
    const round = logins.length;
    const data = { username: "alice@pve", ticket: ticketOf(round), CSRFPreventionToken: `token ${round}`, cap: { dc: { "Sys.Audit": round } } };
    return Promise.resolve(Response.json({ data }));
  });
  session = await import("../src/api/session");
  client = await import("../src/api/client");
  await session.logIn("alice", "secret", "pve");
  expect(logins).toEqual([{ username: "alice", password: "secret" }]);
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("a ticket", () => {
  it("is renewed after 15 minutes with the old one, again and again", async () => {
    await vi.advanceTimersByTimeAsync(QUARTER_MS - 1000);
    expect(logins).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1000);
    expect(logins[1]).toEqual({ username: "alice@pve", password: ticketOf(1) });
    expect(document.cookie).toContain(cookieOf(2));
    await vi.advanceTimersByTimeAsync(QUARTER_MS);
    expect(logins[2]).toEqual({ username: "alice@pve", password: ticketOf(2) });
    expect(document.cookie).toContain(cookieOf(3));
  });

  it("brings a new token for changes, and new privileges", async () => {
    const visit = session.currentVisit();
    await client.change("DELETE", "/access/users/{userid}", { userid: "bob@pve" });
    await vi.advanceTimersByTimeAsync(QUARTER_MS);
    await client.change("DELETE", "/access/users/{userid}", { userid: "bob@pve" });
    expect(sent).toEqual(["token 1", "token 2"]);
    expect(session.current()).toMatchObject({ username: "alice@pve", csrf: "token 2", cap: { dc: { "Sys.Audit": 2 } } });
    expect(session.currentVisit()).toBe(visit); // what waits may go on
  });

  it("that is refused asks for a login over the page, of the same user, and asks no more by itself", async () => {
    refusals = [new Response("", { status: 401, statusText: "invalid ticket" })];
    await vi.advanceTimersByTimeAsync(QUARTER_MS);
    expect(session.getState()).toMatchObject({ kind: "in", expired: true, session: { username: "alice@pve" } });
    await vi.advanceTimersByTimeAsync(4 * QUARTER_MS);
    expect(logins).toHaveLength(2);
    await session.logIn("alice@pve", "secret", "pve");
    expect(session.getState()).toMatchObject({ kind: "in", expired: false, session: { csrf: "token 3" } });
    await vi.advanceTimersByTimeAsync(QUARTER_MS);
    expect(logins[3]).toEqual({ username: "alice@pve", password: ticketOf(3) });
  });

  it("is tried again after a minute when the node did not answer", async () => {
    refusals = [new TypeError("network"), new Response("", { status: 503 })];
    await vi.advanceTimersByTimeAsync(QUARTER_MS);
    expect(session.getState()).toMatchObject({ kind: "in", expired: false });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(logins).toHaveLength(3);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(logins[3]).toEqual({ username: "alice@pve", password: ticketOf(1) });
    expect(document.cookie).toContain(cookieOf(4));
  });

  it("whose cookie is gone asks for a login", async () => {
    document.cookie = "";
    await vi.advanceTimersByTimeAsync(QUARTER_MS);
    expect(logins).toHaveLength(1);
    expect(session.getState()).toMatchObject({ kind: "in", expired: true });
  });

  it("is not renewed after a logout", async () => {
    session.logOut();
    await vi.advanceTimersByTimeAsync(4 * QUARTER_MS);
    expect(logins).toHaveLength(1);
  });
});
