import { describe, expect, it } from "vitest";

import { ApiFailure, failureOf } from "../src/api/failure";
import type { NodeEntry, Resource } from "../src/api/model";
import { encode, fill } from "../src/api/transport";
import { dateOf, epochOf } from "../src/logic/dates";
import { axisTime, bytes, duration, milliseconds, percent } from "../src/logic/format";
import { nextPhase, START, type Observation } from "../src/logic/joinPhases";
import { formatRoute, parseRoute } from "../src/logic/route";
import { linePath, nearest, niceTop } from "../src/logic/series";
import { base32, otpauthAddress } from "../src/logic/totp";
import { treeItems, visibleItems } from "../src/logic/tree";
import { parseUpid, resultOf } from "../src/logic/upid";
import { clusterName, fingerprint } from "../src/logic/validation";

const member = (name: string, more: Partial<NodeEntry> = {}): NodeEntry => ({
  type: "node", id: `node/${name}`, name, nodeid: 1, local: 0, online: 1, ...more,
});
const guest = (vmid: number, node: string): Resource => ({ id: `lxc/${vmid}`, type: "lxc", vmid, node, status: "running" });

describe("failures", () => {
  it("keep what the server said, in message and per field", () => {
    const failure = failureOf(400, "Parameter verification failed.", '{"data":null,"message":"no\\n","errors":{"a":"bad"}}');
    expect(failure).toBeInstanceOf(ApiFailure);
    expect([failure.message, failure.fields]).toEqual(["no", { a: "bad" }]);
  });

  it("take the status line or the body where there is no message", () => {
    expect(failureOf(401, "No ticket", "").message).toBe("No ticket");
    expect(failureOf(501, "", "<html>").message).toBe("<html>");
    expect(failureOf(500, "", "").message).toBe("HTTP status 500");
  });
});

describe("parameters", () => {
  it("leave out what is undefined and send booleans as digits", () => {
    expect(encode({ a: undefined, b: true, c: 0, d: ["x", "y"] }).toString()).toBe("b=1&c=0&d=x&d=y");
  });

  it("that the path names go there, escaped, and nowhere else", () => {
    const [path, others] = fill("/access/tfa/{userid}/{id}", { userid: "a/b@pve", id: "1", password: "x" });
    expect([path, others]).toEqual(["/access/tfa/a%2Fb%40pve/1", { password: "x" }]);
  });
});

describe("task identifiers", () => {
  it("are taken apart", () => {
    const task = parseUpid("UPID:n1:000004D2:0000162E:6B02ED03:clusterjoin::root@pam:");
    expect(task).toEqual({ node: "n1", pid: 1234, starttime: 0x6b02ed03, type: "clusterjoin", id: "", user: "root@pam" });
    expect(parseUpid("UPID:n1:4D2")).toBeUndefined();
  });

  it("end in one of four ways", () => {
    expect([undefined, "OK", "WARNINGS: 2", "no such node", "unexpected status"].map(resultOf)).toEqual([
      "running", "ok", "warning", "error", "unknown",
    ]);
  });
});

describe("a join", () => {
  const run = (...events: Observation[]) => events.reduce((state, event) => nextPhase(state, event, 0), START);
  const refused: Observation = { kind: "refused" };

  it("ends with its task", () => {
    expect(run({ kind: "running" }, { kind: "stopped", exit: "OK" }).phase).toBe("joined");
    expect(run({ kind: "stopped", exit: "invalid password" })).toMatchObject({ phase: "failed", reason: "invalid password" });
  });

  it("takes silence and single refusals for the restart", () => {
    expect(run({ kind: "silent" }, refused, { kind: "silent" }, refused).phase).toBe("restarting");
    expect(run({ kind: "silent" }, { kind: "running" }).phase).toBe("running");
  });

  it("takes lasting refusals for the cluster's keys", () => {
    expect(run(...Array<Observation>(6).fill(refused)).phase).toBe("joined");
  });

  it("is looked at anew when the network fails for long: the browser does not trust the new certificate", () => {
    const unreachable: Observation = { kind: "unreachable" };
    const first = nextPhase(START, unreachable, 1000);
    expect([first.phase, first.mustReload]).toEqual(["restarting", false]);
    expect(nextPhase(first, unreachable, 20_000).mustReload).toBe(false);
    expect(nextPhase(first, unreachable, 21_000).mustReload).toBe(true);
    // Whatever comes from the node shows that its certificate is taken
    for (const event of [refused, { kind: "silent" }, { kind: "running" }] as const) {
      const heard = nextPhase(first, event, 5000);
      expect(nextPhase(heard, unreachable, 24_000).mustReload).toBe(false);
    }
    expect(nextPhase(START, { kind: "silent" }, 90_000).mustReload).toBe(false);
  });

  it("says when it takes long", () => {
    const early = nextPhase(START, { kind: "silent" }, 1000);
    expect([early.isSlow, nextPhase(early, { kind: "silent" }, 62_000).isSlow]).toEqual([false, true]);
  });
});

describe("the tree", () => {
  const items = treeItems([member("n10"), member("n2", { online: 0 })], [guest(200, "n10"), guest(100, "n10")]);

  it("is ordered as people count", () => {
    expect(items.map((item) => item.label)).toEqual(["Datacenter", "n2", "n10", "100", "200"]);
    expect(items[1]).toMatchObject({ state: "bad", word: "offline" });
  });

  it("hides what is closed, and finds what is looked for", () => {
    expect(visibleItems(items, new Set(["node/n10"]), "").map((item) => item.label)).toEqual(["Datacenter", "n2", "n10"]);
    expect(visibleItems(items, new Set(["node/n10"]), "200").map((item) => item.label)).toContain("200");
  });
});

describe("small things", () => {
  it("an axis tells its ends apart in few letters", () => {
    const noon = new Date(2026, 10, 29, 12, 5, 30).getTime() / 1000;
    expect(axisTime(noon, 4200)).toBe("12:05");
    expect(axisTime(noon, 86_400)).toBe("11-29 12:05");
    expect(axisTime(noon, 604_800)).toBe("2026-11-29");
    expect([axisTime(undefined, 0), axisTime(undefined, 86_400), axisTime(undefined, 604_800)]).toEqual(["–", "–", "–"]);
  });

  it("routes survive the address bar", () => {
    const route = { place: "node", node: "n 1", tab: "network" } as const;
    expect(parseRoute(formatRoute(route))).toEqual(route);
    expect(parseRoute("")).toEqual({ place: "datacenter", tab: "summary" });
    expect(parseRoute("#/guest/lxc/100")).toMatchObject({ place: "guest", id: "lxc/100" });
  });

  it("figures are readable", () => {
    expect([bytes(0), bytes(1536), bytes(undefined)]).toEqual(["0 B", "1.5 KiB", "–"]);
    expect([percent(1, 4), percent(1, 0)]).toEqual(["25.0 %", "–"]);
    expect([duration(3661), duration(90061)]).toEqual(["01:01:01", "1 d 01:01:01"]);
    expect([milliseconds(90), milliseconds(1500), milliseconds(25_000), milliseconds(0)]).toEqual(["0.09 ms", "1.5 ms", "25 ms", ""]);
  });

  it("days of expiry", () => {
    expect([epochOf(""), epochOf("1970-01-02"), epochOf("2026-02-31"), epochOf("soon")]).toEqual([0, 86400, undefined, undefined]);
    expect([dateOf(0), dateOf(86400)]).toEqual(["", "1970-01-02"]);
  });

  it("charts interrupt lines where nothing was measured", () => {
    const samples = [{ time: 0, cpu: 0 }, { time: 10, cpu: 1 }, { time: 20 }, { time: 30, cpu: 0.5 }];
    expect(linePath(samples, "cpu", 1, { width: 30, height: 10 })).toBe("M0.0 10.0L10.0 0.0M30.0 5.0");
    expect(nearest(samples, 0.4)?.time).toBe(10);
    expect([niceTop([3]), niceTop([]), niceTop([700], 2)]).toEqual([5, 1, 1024]);
  });

  it("one-time passwords", () => {
    expect(base32(new TextEncoder().encode("12345678901234567890"))).toBe("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    expect(otpauthAddress("a@pve", "my lab", "X")).toBe(
      "otpauth://totp/my%20lab:a%40pve?secret=X&issuer=my%20lab&period=30&algorithm=SHA1&digits=6",
    );
  });

  it("names and fingerprints", () => {
    expect(["lab", "a-1"].map(clusterName)).toEqual([undefined, undefined]);
    expect(["", "-a", "a_b", "a".repeat(16)].map((text) => clusterName(text) === undefined)).toEqual([false, false, false, false]);
    expect(fingerprint(Array(32).fill("aB").join(":"))).toBeUndefined();
    expect(fingerprint("AB")).toContain("32 pairs");
  });
});
