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

/** A request that was refused since the session has ended. */
interface Waiting {
  resume: () => void;
  giveUp: (why: ApiFailure) => void;
}

let state: State = { kind: "starting" };
const listeners = new Set<() => void>();
let waiting = new Set<Waiting>();
let visit = 0;
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

/** Whether the page waits for a login of the same user. */
export function hasExpired(): boolean {
  return state.kind === "in" && state.expired;
}

/** The time between one user's login and the logout, through all renewals: what began in one visit must not go on
 * in another, which may be somebody else's. */
export function currentVisit(): number {
  return visit;
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
  endVisit();
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

/** Resolves when the user of the visit has logged in again; rejects with an ApiFailure when the visit is over, and
 * with the signal's reason when nobody wants the answer any more. */
export function untilLoggedIn(during: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (during !== visit) return reject(overFailure());
    const entry: Waiting = { resume: resolve, giveUp: reject };
    waiting.add(entry);
    signal?.addEventListener("abort", () => {
      waiting.delete(entry);
      reject(signal.reason as Error);
    });
  });
}

function overFailure(): ApiFailure {
  return new ApiFailure(401, "You have logged out before this could be sent: it was not carried out.");
}

/** Nothing that still waits may be sent with the rights of whoever comes next. */
function endVisit(): void {
  visit += 1;
  const abandoned = waiting;
  waiting = new Set();
  for (const { giveUp } of abandoned) giveUp(overFailure());
}

function accept(data: LoginData): void {
  if (state.kind === "in" && state.session.username !== data.username) endVisit();
  writeCookie(data.ticket);
  const session: Session = {
    username: data.username,
    csrf: data.CSRFPreventionToken ?? "",
    cap: data.cap ?? {},
    clustername: data.clustername,
  };
  set({ kind: "in", session, expired: false });
  const resumed = waiting;
  waiting = new Set();
  for (const { resume: goOn } of resumed) goOn();
  clearTimeout(timer);
  timer = setTimeout(() => void renew(), RENEW_MS);
}

async function renew(): Promise<void> {
  const session = current();
  const ticket = readCookie();
  if (!session) return;
  if (ticket === undefined) return expire();
  const during = visit;
  try {
    const data = await postTicket({ username: session.username, password: ticket });
    if (during === visit) accept(data);
  } catch (error) {
    if (during !== visit) return;
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
