/* Who is logged in: the ticket in its cookie, its renewal, and what happens when it ends. */

import { ApiFailure } from "./failure";
import type { Capabilities, LoginData } from "./model";
import type { ParametersOf } from "./operations";
import { send } from "./transport";

const COOKIE = "PVEAuthCookie";
/** A ticket is good for two hours; renewed long before (pvecm 9). */
const RENEW_MS = 15 * 60 * 1000;
const RETRY_MS = 60 * 1000;

export interface Session {
  username: string;
  csrf: string;
  cap: Capabilities;
  clustername?: string;
}

/** What a login needs for its second step. */
export interface Challenge {
  username: string;
  ticket: string;
}

type State =
  | { kind: "starting" }
  | { kind: "out"; notice?: string }
  | { kind: "in"; session: Session; expired: boolean };

let state: State = { kind: "starting" };
const listeners = new Set<() => void>();
let waiting: (() => void)[] = [];
let tolerated = 0;
let timer: ReturnType<typeof setTimeout> | undefined;

export const getState = (): State => state;

export function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** The present session, also an expired one. */
export function current(): Session | undefined {
  return state.kind === "in" ? state.session : undefined;
}

/** Whether the user has the privilege somewhere in the area, e.g. `may("dc", "Sys.Audit")`. */
export function may(area: string, privilege: string): boolean {
  const session = current();
  return session?.username === "root@pam" || session?.cap[area]?.[privilege] === 1;
}

/** Take up the session that the cookie holds, e.g. after a reload. */
export async function resume(): Promise<void> {
  const ticket = readCookie();
  const user = ticket === undefined ? undefined : /^PVE:([^!].*):[0-9A-F]{8}::/.exec(ticket)?.[1];
  if (ticket === undefined || user === undefined) return set({ kind: "out" });
  try {
    accept(await postTicket({ username: user.replaceAll("%3A", ":"), password: ticket }));
  } catch {
    set({ kind: "out" });
  }
}

/** Log in. A challenge is returned when a second factor is needed. Throws ApiFailure. */
export async function logIn(username: string, password: string, realm: string): Promise<Challenge | undefined> {
  const name = username.includes("@") ? { username } : { username, realm };
  const data = await postTicket({ ...name, password });
  if (data.NeedTFA) return { username: data.username, ticket: data.ticket };
  accept(data);
  return undefined;
}

/** The second step: `answer` is e.g. `totp:123456`. Throws ApiFailure. */
export async function answerChallenge(challenge: Challenge, answer: string): Promise<void> {
  accept(
    await postTicket({
      username: challenge.username,
      password: answer,
      "tfa-challenge": challenge.ticket,
    }),
  );
}

export function logOut(notice?: string): void {
  clearTimeout(timer);
  writeCookie("", 0);
  set({ kind: "out", notice });
}

/** The server no longer takes our ticket: ask for a login over whatever is on the page. */
export function expire(): void {
  if (state.kind === "in" && !state.expired && tolerated === 0) set({ ...state, expired: true });
}

/** While a join runs the node changes its keys: refused tickets mean nothing until the returned function is
 * called. */
export function tolerateRefusals(): () => void {
  tolerated += 1;
  return () => {
    tolerated -= 1;
  };
}

export function toleratesRefusals(): boolean {
  return tolerated > 0;
}

/** Resolves when somebody has logged in again. */
export function untilLoggedIn(): Promise<void> {
  return new Promise((resolve) => waiting.push(resolve));
}

function accept(data: LoginData): void {
  writeCookie(data.ticket);
  const session: Session = {
    username: data.username,
    csrf: data.CSRFPreventionToken ?? "",
    cap: data.cap ?? {},
    clustername: data.clustername,
  };
  set({ kind: "in", session, expired: false });
  const resumed = waiting;
  waiting = [];
  for (const resolve of resumed) resolve();
  clearTimeout(timer);
  timer = setTimeout(() => void renew(), RENEW_MS);
}

async function renew(): Promise<void> {
  const session = current();
  const ticket = readCookie();
  if (!session) return;
  if (ticket === undefined) return expire();
  try {
    accept(await postTicket({ username: session.username, password: ticket }));
  } catch (error) {
    if (error instanceof ApiFailure && error.status === 401) return expire();
    timer = setTimeout(() => void renew(), RETRY_MS);
  }
}

async function postTicket(parameters: ParametersOf<"POST", "/access/ticket">): Promise<LoginData> {
  const { data } = await send("POST", "/access/ticket", parameters, {});
  if (!isLogin(data)) throw new ApiFailure(401, "authentication failure");
  return data;
}

function isLogin(data: Partial<LoginData> | null): data is LoginData {
  return data?.ticket !== undefined;
}

function readCookie(): string | undefined {
  const found = new RegExp(`(?:^|;\\s*)${COOKIE}=([^;]+)`).exec(document.cookie)?.[1];
  return found === undefined ? undefined : decodeURIComponent(found);
}

function writeCookie(ticket: string, maxAge?: number): void {
  const age = maxAge === undefined ? "" : `; max-age=${maxAge}`;
  const secure = location.protocol === "https:" ? "; secure" : "";
  document.cookie = `${COOKIE}=${encodeURIComponent(ticket)}; path=/; samesite=lax${secure}${age}`;
}

function set(next: State): void {
  state = next;
  for (const listener of listeners) listener();
}
